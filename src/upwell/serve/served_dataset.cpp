#include "serve/served_dataset.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "refs/combine.hpp"
#include "refs/kerchunk_json_writer.hpp"

namespace upwell::serve {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kJsonType = "application/json";
constexpr size_t kMinGzip = 512;
// Of documents and chunks alike: the last chunk of a cube that grows changes with its shape.
constexpr const char* kCacheControl = "public, max-age=60, must-revalidate";

std::string dump_json(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

size_t slot(Target target) { return static_cast<size_t>(target); }

/// The group with only those arrays that `shown` gives, as it gives them.
using ShownArray = std::function<const Array*(const std::string& path)>;
Group filtered(const Group& group, const std::string& prefix, const ShownArray& shown) {
  Group out;
  out.name = group.name;
  out.attributes = group.attributes;
  out.dimensions = group.dimensions;
  for (const Array& array : group.arrays) {
    if (const Array* kept = shown(prefix + array.name)) out.arrays.push_back(*kept);
  }
  for (const Group& child : group.groups) {
    out.groups.push_back(filtered(child, prefix + child.name + "/", shown));
  }
  return out;
}

/// Paths of all groups below, without slashes at the ends; "" is the root.
void group_paths(const Group& group, const std::string& path, std::vector<std::string>& out) {
  out.push_back(path);
  for (const Group& child : group.groups) {
    group_paths(child, path.empty() ? child.name : path + "/" + child.name, out);
  }
}

/// The documents below a group, with keys relative to it.
std::vector<refs::ZarrDocument> below(const std::vector<refs::ZarrDocument>& documents,
                                      const std::string& group) {
  if (group.empty()) return documents;
  const std::string prefix = group + "/";
  std::vector<refs::ZarrDocument> out;
  for (const auto& [key, text] : documents) {
    if (key.starts_with(prefix)) out.emplace_back(key.substr(prefix.size()), text);
  }
  return out;
}

OrderedJson array_info(const Array& array) {
  OrderedJson out;
  out["type"] = describe(array.type);
  OrderedJson dimensions = OrderedJson::array();
  for (const std::string& name : array.dimensions) dimensions.push_back(name);
  out["dimensions"] = std::move(dimensions);
  out["shape"] = array.shape;
  out["chunks"] = array.chunk_shape;
  out["attributes"] = OrderedJson::parse(attributes_json(array.attributes), nullptr, false);
  return out;
}

OrderedJson group_info(const Group& group) {
  OrderedJson out;
  out["dimensions"] = OrderedJson::object();
  for (const Dimension& dimension : group.dimensions) {
    out["dimensions"][dimension.name] = dimension.size;
  }
  // Formats without declared dimensions have those of their arrays.
  for (const Array& array : group.arrays) {
    for (size_t d = 0; d < array.dimensions.size() && d < array.shape.size(); ++d) {
      const std::string& name = array.dimensions[d];
      if (!name.empty() && name.find('/') == std::string::npos && group.dimensions.empty()) {
        out["dimensions"][name] = array.shape[d];
      }
    }
  }
  out["variables"] = OrderedJson::object();
  for (const Array& array : group.arrays) out["variables"][array.name] = array_info(array);
  out["global_attributes"] = OrderedJson::parse(attributes_json(group.attributes), nullptr, false);
  if (!group.groups.empty()) {
    out["groups"] = OrderedJson::object();
    for (const Group& child : group.groups) out["groups"][child.name] = group_info(child);
  }
  return out;
}

Response not_found(const std::string& what) { return error_response(404, what); }

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Cuts "a/v/c/0/1" into "a/v" and "c/0/1"; "c" alone is the key of a scalar.
std::optional<std::pair<std::string, std::string>> cut_v3_key(const std::string& key) {
  size_t end = key.size();
  while (true) {
    const size_t slash = key.rfind('/', end - 1);
    if (slash == std::string::npos || end == 0) return std::nullopt;
    const std::string_view part = std::string_view(key).substr(slash + 1, end - slash - 1);
    if (part == "c") return std::pair{key.substr(0, slash), key.substr(slash + 1)};
    if (!all_digits(part)) return std::nullopt;
    end = slash;
    if (end == 0) return std::nullopt;
  }
}

}  // namespace

Document Document::make(std::string_view text, std::string content_type) {
  Document document;
  document.plain = SharedBytes(to_bytes(text));
  document.etag = content_hash(document.plain.span());
  document.content_type = std::move(content_type);
  if (text.size() >= kMinGzip) document.gzip = gzip_compress(document.plain.span(), 6);
  return document;
}

Response Document::response() const {
  Response out;
  out.content_type = content_type;
  out.etag = etag;
  out.body = Body::of(plain);
  out.gzip = gzip;
  out.compressible = true;
  out.headers.emplace_back("Cache-Control", kCacheControl);
  return out;
}

std::string attributes_json(const Attributes& attributes) {
  Group holder;
  for (const Attribute& attribute : attributes) {
    // One attribute without a JSON form does not take the others with it.
    Group one;
    one.attributes = {attribute};
    if (refs::zarr2_attributes_json(one)) holder.attributes.push_back(attribute);
  }
  return refs::zarr2_attributes_json(holder).value_or("{}");
}

Result<std::shared_ptr<const ServedDataset>> ServedDataset::make(
    std::shared_ptr<io::Session> session, std::string id, std::string source, Dataset dataset,
    uint64_t revision, const ServedDataset* before) {
  std::shared_ptr<ServedDataset> served(new ServedDataset());
  served->session_ = std::move(session);
  served->revision_ = revision;
  served->id_ = std::move(id);
  served->source_ = std::move(source);
  served->dataset_ = std::move(dataset);
  for_each_array(served->dataset_.root, [&](const std::string& path, const Array& array) {
    ServedArray entry;
    entry.path = path.substr(1);
    entry.array = &array;
    const ServedArray* earlier = before == nullptr ? nullptr : before->find(entry.path);
    for (Target target : {Target::kZarr2, Target::kZarr3, Target::kStored}) {
      const bool known = earlier != nullptr && earlier->deliveries[slot(target)];
      auto delivery = choose_delivery(array, target,
                                      known ? &earlier->deliveries[slot(target)]->view : nullptr);
      if (delivery) {
        entry.deliveries[slot(target)] = std::move(*delivery);
      } else {
        entry.reasons[slot(target)] = delivery.error().to_string();
      }
    }
    served->by_path_[entry.path] = served->arrays_.size();
    served->arrays_.push_back(std::move(entry));
  });
  auto made = served->make_documents();
  if (!made) return fail(std::move(made).error().with("dataset " + served->id_));
  return std::shared_ptr<const ServedDataset>(std::move(served));
}

const ServedArray* ServedDataset::find(std::string_view path) const {
  const auto found = by_path_.find(std::string(path));
  return found == by_path_.end() ? nullptr : &arrays_[found->second];
}

std::string ServedDataset::title() const {
  for (const char* name : {"title", "long_name", "name"}) {
    const auto text = text_attribute(dataset_.root.attributes, name);
    if (text && !text->empty()) return *text;
  }
  return id_;
}

Result<> ServedDataset::make_documents() {
  UPWELL_CHECK(add_zarr("zarr/", Target::kZarr2));
  UPWELL_CHECK(add_zarr("zarr/", Target::kZarr3));
  UPWELL_CHECK(add_zarr("kerchunk/", Target::kStored));
  UPWELL_TRY(const std::string info, info_json());
  documents_["info"] = Document::make(info, kJsonType);
  documents_["keys"] = Document::make(keys_json(), kJsonType);
  for (const char* view : {"zarr", "kerchunk"}) {
    const Target target = view[0] == 'z' ? Target::kZarr2 : Target::kStored;
    const std::string path = view;
    documents_[path] = documents_[path + "/"] = Document::make(view_json(target), kJsonType);
  }
  return {};
}

Result<> ServedDataset::add_zarr(const std::string& prefix, Target target) {
  const auto delivery_of = [&](const std::string& path) -> const Delivery* {
    const ServedArray* array = find(path);
    if (array == nullptr || !array->deliveries[slot(target)]) return nullptr;
    return &*array->deliveries[slot(target)];
  };
  const Group root = filtered(dataset_.root, "", [&](const std::string& path) -> const Array* {
    const Delivery* delivery = delivery_of(path);
    return delivery == nullptr ? nullptr : &delivery->shown;
  });
  const refs::ViewOf view = [&](const std::string& path, const Array&) {
    return delivery_of(path.substr(1))->view;
  };
  const bool v3 = target == Target::kZarr3;
  UPWELL_TRY(const auto documents,
             v3 ? refs::zarr3_documents(root, view) : refs::zarr2_documents(root, view));
  for (const auto& [key, text] : documents) {
    documents_[prefix + key] = Document::make(text, kJsonType);
  }
  // Every group can be opened as a root of its own, so each has the consolidated form.
  std::vector<std::string> groups;
  group_paths(root, "", groups);
  for (const std::string& group : groups) {
    const auto part = below(documents, group);
    UPWELL_TRY(const std::string text,
               v3 ? refs::zarr3_consolidated_json(part) : refs::zarr2_consolidated_json(part));
    const std::string folder = group.empty() ? prefix : prefix + group + "/";
    documents_[folder + (v3 ? "zarr.json" : ".zmetadata")] = Document::make(text, kJsonType);
  }
  return {};
}

Result<std::string> ServedDataset::info_json() const {
  OrderedJson out = group_info(dataset_.root);
  OrderedJson problems = OrderedJson::object();
  for (const Problem& problem : dataset_.problems) {
    problems[problem.path] = problem.error.to_string();
  }
  if (!problems.empty()) out["problems"] = std::move(problems);
  constexpr std::array<const char*, 3> kNames{"not_in_zarr2", "not_in_zarr3", "not_in_kerchunk"};
  for (size_t i = 0; i < kNames.size(); ++i) {
    OrderedJson missing = OrderedJson::object();
    for (const ServedArray& array : arrays_) {
      if (!array.reasons[i].empty()) missing[array.path] = array.reasons[i];
    }
    if (!missing.empty()) out[kNames[i]] = std::move(missing);
  }
  return dump_json(out);
}

std::string ServedDataset::keys_json() const {
  OrderedJson keys = OrderedJson::array();
  for (const ServedArray& array : arrays_) keys.push_back(array.path);
  return dump_json(keys);
}

/// What somebody finds who asks for the root of a view as if it were a page. Zarr clients ask for
/// the documents in it.
std::string ServedDataset::view_json(Target target) const {
  OrderedJson out;
  out["dataset"] = id_;
  out["is"] = target == Target::kStored ? "a Zarr store of the chunks as they are stored"
                                        : "a Zarr store: open this URL with a Zarr client";
  out["metadata"]["2"] = ".zmetadata";
  if (target != Target::kStored) out["metadata"]["3"] = "zarr.json";
  out["arrays"] = OrderedJson::array();
  for (const ServedArray& array : arrays_)
    if (array.deliveries[slot(target)]) out["arrays"].push_back(array.path);
  return dump_json(out);
}

Response ServedDataset::chunk(bool stored, const std::string& key, ByteCache& cache,
                              ByteBudget& budget) const {
  const size_t slash = key.rfind('/');
  if (slash != std::string::npos) {
    const std::string name = key.substr(slash + 1);
    const ServedArray* array = find(key.substr(0, slash));
    if (array != nullptr && !name.empty() && name[0] >= '0' && name[0] <= '9') {
      const Shape grid = grid_shape(array->array->shape, array->array->chunk_shape);
      const auto position = refs::chunk_position({'.', false}, grid, name);
      if (!position) return not_found("no chunk " + name + " in the grid of " + array->path);
      return deliver(*array, stored ? Target::kStored : Target::kZarr2, *position, cache, budget);
    }
    if (array != nullptr && stored && !array->deliveries[slot(Target::kStored)]) {
      return error_response(422, array->path + " has no stored form to pass on: " +
                                     array->reasons[slot(Target::kStored)]);
    }
  }
  if (!stored) {
    if (const auto cut = cut_v3_key(key)) {
      if (const ServedArray* array = find(cut->first)) {
        const Shape grid = grid_shape(array->array->shape, array->array->chunk_shape);
        const auto position = refs::chunk_position({'/', true}, grid, cut->second);
        if (!position)
          return not_found("no chunk " + cut->second + " in the grid of " + array->path);
        return deliver(*array, Target::kZarr3, *position, cache, budget);
      }
    }
  }
  return not_found("nothing is called " + key + " in dataset " + id_);
}

Response ServedDataset::deliver(const ServedArray& array, Target target, uint64_t position,
                                ByteCache& cache, ByteBudget& budget) const {
  const auto& delivery = array.deliveries[slot(target)];
  if (!delivery) {
    const std::string why = array.path + " is not in this view: " + array.reasons[slot(target)];
    return error_response(422, why);
  }
  constexpr std::array<const char*, 3> kViews{"zarr2", "zarr3", "stored"};
  const std::string key = cache_name() + '\n' + kViews[slot(target)] + '\n' + array.path + '\n' +
                          std::to_string(position);
  const Shape grid = grid_shape(array.array->shape, array.array->chunk_shape);
  const std::string what =
      "chunk " + refs::chunk_key({}, refs::chunk_at(grid, position)) + " of /" + array.path;
  auto made =
      deliver_chunk(*session_, dataset_, *array.array, *delivery, position, key, cache, budget);
  if (!made) return error_response(std::move(made).error().with(what));
  if (!*made) return not_found(what + " was never written");
  Response response = std::move(**made);
  response.headers.emplace_back("Cache-Control", kCacheControl);
  if (response.body.fetch) {
    // Another state may take our place meanwhile.
    response.body.fetch = [inner = std::move(response.body.fetch), what, self = shared_from_this()](
                              uint64_t offset, uint64_t length) -> Result<SharedBytes> {
      auto bytes = inner(offset, length);
      if (!bytes) return fail(std::move(bytes).error().with(what));
      return bytes;
    };
  }
  return response;
}

Result<Document> ServedDataset::references(bool partial) const {
  const std::lock_guard lock(references_mutex_);
  if (!references_) UPWELL_CHECK(make_references());
  if (partial || not_in_references_.empty()) return *references_;
  return fail(Code::kUnsupported, "references cannot say all of dataset " + id_ + ": " +
                                      not_in_references_ + ". /datasets/" + id_ +
                                      "/zarr has it all; refs.json?partial=1 leaves this out");
}

Result<> ServedDataset::make_references() const {
  refs::CombineOptions options;
  std::vector<refs::Reason> refused;
  auto combiner = refs::Combiner::make(*session_, {source_}, dataset_, options, refused);
  if (!combiner && !refused.empty()) {
    for (const refs::Reason& reason : refused) {
      // The options that follow are those of a command.
      const std::string why =
          reason.message.substr(0, reason.message.find("; leave it out with --"));
      not_in_references_ += (not_in_references_.empty() ? "" : "; ") + reason.path + ": " + why;
      options.drop.push_back(reason.path);
    }
    combiner = refs::Combiner::make(*session_, {source_}, dataset_, options, refused);
  }
  if (!combiner) return fail(std::move(combiner).error());
  UPWELL_TRY(const Dataset combined, (*combiner)->finish());
  std::string text;
  UPWELL_CHECK(refs::write_kerchunk_json(combined, {}, [&text](ByteSpan block) -> Result<> {
    text.append(as_text(block));
    return {};
  }));
  references_ = Document::make(text, kJsonType);
  return {};
}

}  // namespace upwell::serve
