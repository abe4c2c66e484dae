// The reader of one file: a work list of objects, each advanced until it needs bytes.

#include "format/hdf5/hdf5.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "format/hdf5/cache_image.hpp"
#include "format/hdf5/datatype.hpp"
#include "format/hdf5/netcdf4.hpp"
#include "format/hdf5/objects.hpp"
#include "format/hdf5/superblock.hpp"
#include "format/hdf5/tree.hpp"
#include "format/hdf5/wanted.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr uint64_t kHeadBytes = 8192;
/// Of headers that are read along, see FileReader::look_ahead.
constexpr uint64_t kHeaderPrefix = 16;
constexpr size_t kMaxAhead = 8;
constexpr uint64_t kMaxAheadBytes = 64 << 10;

class FileReader : public GranuleReader {
 public:
  FileReader(const Granule& granule, const ScanOptions& options)
      : granule_(granule),
        options_(options),
        wanted_(options.only),
        used_(options.values_alone ? options.only : std::vector<std::string>()) {}

  Result<bool> advance(Window& window) override;
  Result<Dataset> finish() override;

  const PendingFiles& pending() const { return pending_; }
  /// `complete`: all arrays have the shapes that HDF5 gives them.
  void name(Dataset& dataset, bool complete) const {
    // A file that others point to is read as HDF5.
    const bool extend = complete && !options_.all_attributes && options_.trail.empty();
    name_dimensions(objects_, named_, options_.all_attributes, extend, dataset);
  }
  const FileFacts& facts() const { return shared_.facts(); }

 private:
  enum class Step : uint8_t { kHeader, kLinks, kAttributes, kDataset, kIndex, kType, kMeasure };
  struct Task {
    Step step;
    Object* object;
  };

  Result<> start(Window& window);
  Result<> read_extension(Window& window);
  Result<> run(Window& window, const Task& task);
  Result<> count_header(const Window& window, const ObjectHeader& header);
  Result<> classify(const Window& window, Object& object);
  Result<> read_group(Window& window, Object& object);
  Result<> read_attributes(Window& window, Object& object);
  void reach_links(const Object& group);
  void look_ahead(const Window& window, const Object& group);
  void read_ahead(Window& window);
  void scout(Window& window, Object& object);
  void run_all(Window& window);
  bool is_found(const std::string& path) const;
  bool follow_scales(const Object& object);
  std::vector<const Object*> groups_above(const Object& object) const;
  bool is_whole_part() const;
  bool measure_uses();
  Result<> measure(Window& window, Object& object);
  bool complete_part();
  Object* reach(uint64_t address, std::string path, bool used = true);
  void use(Object& object);
  bool is_used(const Object& group, const Link& link) const;
  bool has_other_ways() const;

  Granule granule_;
  ScanOptions options_;
  Wanted wanted_;
  Wanted used_;  // of what is wanted: the arrays that are to have chunks
  std::vector<Object*> unused_;
  std::set<std::pair<const Object*, uint64_t>> followed_;  // scales, by group that needs them
  Superblock superblock_;
  bool have_superblock_ = false;
  bool started_ = false;
  SharedMessages shared_;
  std::unique_ptr<ObjectHeader> extension_;
  Objects objects_;
  std::deque<Object> to_measure_;  // not among objects_: only their extents are wanted
  std::unordered_set<uint64_t> measured_;
  std::vector<Task> work_;
  std::vector<ObjectHeader> ahead_;
  uint64_t header_bytes_ = 0;
  uint64_t links_ = 0;
  PendingFiles pending_;
  NamedGroup named_;
};

Result<> FileReader::start(Window& window) {
  if (!have_superblock_) {
    UPWELL_TRY(superblock_, read_superblock(window));
    have_superblock_ = true;
  }
  if (superblock_.extension != kUndefined) UPWELL_CHECK(read_extension(window));
  shared_.use(superblock_.facts);
  objects_.root = reach(superblock_.root, "");
  started_ = true;
  return {};
}

/// Messages of the superblock extension (II.A, IV.A.2.p, t, u).
Result<> FileReader::read_extension(Window& window) {
  FileFacts& facts = superblock_.facts;
  if (!extension_) extension_ = std::make_unique<ObjectHeader>(superblock_.extension);
  UPWELL_CHECK(extension_->read(window, facts));
  for (const Message& message : extension_->messages()) {
    Cursor in(message.body, message.offset, facts);
    uint8_t version = in.u8();
    switch (message.type) {
      case kMsgBtreeK:
        facts.chunk_internal_k = in.u16();
        facts.group_internal_k = in.u16();
        facts.group_leaf_k = in.u16();
        break;
      case kMsgSharedTable: {
        uint64_t address = in.address();
        uint8_t indexes = in.u8();
        if (address != kUndefined) shared_.set_table(address, indexes);
        break;
      }
      case kMsgDriverInfo: {
        auto name = as_text(in.bytes(8));
        if (name == "NCSAmult" || name.starts_with("NCSAfami"))
          return fail(Code::kUnsupported, fmt::format("the file is split over several objects "
                                                      "(driver {})",
                                                      name == "NCSAmult" ? "multi" : "family"));
        break;
      }
      case kMsgFreeSpaceInfo: {
        // Only for writers, but a message that is cut short tells of a broken file.
        uint8_t strategy = in.u8();
        bool persistent = version == 0 ? strategy == 1 : in.u8() != 0;
        in.length();
        if (version > 0) in.skip(facts.length_size + size_t{2} + facts.offset_size);
        if (persistent) in.skip(size_t{facts.offset_size} * (version == 0 ? 6 : 12));
        break;
      }
      case kMsgCacheImage: {
        uint64_t address = in.address();
        uint64_t length = in.length();
        if (address != kUndefined && in.ok())
          UPWELL_CHECK(read_cache_image(window, facts, address, length));
        break;
      }
      default:
        continue;
    }
    UPWELL_CHECK(in.check("superblock extension message"));
    if (version > 1)
      return fail(Code::kUnsupported,
                  fmt::format("superblock extension message at offset {} has version {}",
                              message.offset, version));
  }
  return {};
}

Object* FileReader::reach(uint64_t address, std::string path, bool used) {
  if (Object* known = objects_.find(address)) {
    if (used) use(*known);
    return known;
  }
  objects_.all.emplace_back(address, std::move(path));
  Object* object = &objects_.all.back();
  object->used = used;
  objects_.by_address.emplace(address, object);
  work_.push_back({Step::kHeader, object});
  return object;
}

/// The chunks of this dataset are wanted after all.
void FileReader::use(Object& object) {
  object.used = true;
  if (std::erase(unused_, &object) > 0) work_.push_back({Step::kIndex, &object});
}

/// Whether what a link leads to will be an array of the result, with its chunks.
bool FileReader::is_used(const Object& group, const Link& link) const {
  const std::string path = group.path + "/" + link.name;
  return used_.has(group.path, link.name) &&
         std::none_of(options_.drop.begin(), options_.drop.end(), [&](const std::string& dropped) {
           return dropped == path || "/" + dropped == path;
         });
}

/// Whether objects may be reached by other paths than the one by which they were found first, so
/// that it does not tell whether they are used.
bool FileReader::has_other_ways() const {
  std::unordered_set<uint64_t> met;
  for (const Object& object : objects_.all) {
    if (object.dataset && object.dataset->is_virtual) return true;
    for (const Link& link : object.links) {
      if (link.kind == Link::Kind::kSoft) return true;
      if (link.kind == Link::Kind::kHard && !met.insert(link.address).second) return true;
    }
  }
  return false;
}

Result<> FileReader::count_header(const Window& window, const ObjectHeader& header) {
  header_bytes_ += header.size();
  // Headers never overlap in a sound file.
  if (header_bytes_ > window.object_size() + (1 << 16))
    return fail(Code::kInvalidData, "object headers overlap each other");
  return {};
}

Result<> FileReader::classify(const Window& window, Object& object) {
  UPWELL_CHECK(count_header(window, object.header));
  const ObjectHeader& header = object.header;
  auto has = [&](uint16_t type) { return header.find(type) != nullptr; };
  if (has(kMsgSymbolTable) || has(kMsgLinkInfo)) {
    object.what = Object::What::kGroup;
    work_.push_back({Step::kLinks, &object});
  } else if (has(kMsgDatatype) && has(kMsgDataspace)) {
    object.what = Object::What::kDataset;
    object.dataset = std::make_unique<DatasetReader>();
    work_.push_back({Step::kDataset, &object});
  } else if (has(kMsgDatatype)) {
    object.what = Object::What::kType;
    work_.push_back({Step::kType, &object});
    return {};
  } else {
    return fail(Code::kInvalidData,
                fmt::format("the object at offset {} is neither group, dataset nor datatype",
                            facts().base_address + header.address()));
  }
  work_.push_back({Step::kAttributes, &object});
  return {};
}

Result<> FileReader::read_group(Window& window, Object& object) {
  UPWELL_TRY(object.links, read_links(window, shared_, object.header));
  links_ += object.links.size();
  if (links_ > window.object_size() / 4)
    return fail(Code::kInvalidData, "more links than the file can hold");
  reach_links(object);
  look_ahead(window, object);
  return {};
}

/// Of a part of a file: what lies beside the wanted and has come along with it is likely to be
/// wanted next, as scales are, which are made before what they belong to. The rest of such headers
/// is fetched while other things are.
void FileReader::look_ahead(const Window& window, const Object& group) {
  if (wanted_.everything()) return;
  for (const Link& link : group.links) {
    if (ahead_.size() == kMaxAhead) return;
    if (link.kind == Link::Kind::kHard && !wanted_.has(group.path, link.name) &&
        !objects_.find(link.address) &&
        window.has(facts().base_address + link.address, kHeaderPrefix))
      ahead_.emplace_back(link.address, kMaxAheadBytes);
  }
}

/// What is wrong with them is said of those that are wanted.
void FileReader::read_ahead(Window& window) {
  std::erase_if(ahead_, [&](ObjectHeader& header) {
    auto read = header.read(window, facts());
    return read || read.error().code != Code::kNeedBytes;
  });
}

/// The first part of a header tells where the chunks' tree lies: it is fetched while the rest is.
/// What is wrong with it is said when the dataset is read.
void FileReader::scout(Window& window, Object& object) {
  if (!object.used) return;
  if (!object.scout) object.scout = scout_chunks(facts(), object.header);
  if (object.scout) (void)object.scout->advance(window);
}

void FileReader::reach_links(const Object& group) {
  for (const Link& link : group.links)
    if (link.kind == Link::Kind::kHard && wanted_.has(group.path, link.name))
      reach(link.address, group.path + "/" + link.name, is_used(group, link));
}

Result<> FileReader::read_attributes(Window& window, Object& object) {
  auto read = object.attribute_reader.read(window, shared_, object.header);
  if (!read && read.error().code == Code::kNeedBytes) return read;
  object.attributes = object.attribute_reader.take();
  object.attribute_errors = std::move(object.attribute_reader.problems());
  // The object itself can be read without its attributes.
  if (!read) object.attribute_errors.push_back(std::move(read).error().with("attributes"));
  return {};
}

Result<> FileReader::run(Window& window, const Task& task) {
  Object& object = *task.object;
  switch (task.step) {
    case Step::kHeader:
      if (auto read = object.header.read(window, facts()); !read) {
        if (read.error().code == Code::kNeedBytes) scout(window, object);
        return read;
      }
      object.scout.reset();
      return classify(window, object);
    case Step::kLinks:
      return read_group(window, object);
    case Step::kAttributes:
      return read_attributes(window, object);
    case Step::kDataset:
      UPWELL_CHECK(object.dataset->describe(window, shared_, object.header, options_));
      if (object.used)
        work_.push_back({Step::kIndex, &object});
      else
        unused_.push_back(&object);
      return {};
    case Step::kIndex:
      return object.dataset->index(window, facts());
    case Step::kMeasure:
      return measure(window, object);
    case Step::kType: {
      UPWELL_TRY(MessageBody body, shared_.body(window, *object.header.find(kMsgDatatype)));
      Cursor in(body.bytes, body.offset, facts());
      // Datasets have their own copies: a named type that is not read harms nobody.
      if (auto type = read_datatype(in)) object.type = std::move(*type);
      return {};
    }
  }
  return {};
}

Result<bool> FileReader::advance(Window& window) {
  if (!started_) {
    auto begun = start(window);
    if (!begun) {
      if (begun.error().code == Code::kNeedBytes) return false;
      return fail(std::move(begun).error());
    }
  }
  do {
    run_all(window);
    if (!work_.empty()) {
      read_ahead(window);
      return false;
    }
  } while (complete_part());
  return true;
}

/// Runs all tasks that do not lack bytes; the others stay.
void FileReader::run_all(Window& window) {
  std::vector<Task> parked;
  while (!work_.empty()) {
    // Tasks that come up on the way run in the same round.
    std::vector<Task> now = std::move(work_);
    work_.clear();
    for (const Task& task : now) {
      auto ran = run(window, task);
      if (ran) continue;
      if (ran.error().code == Code::kNeedBytes)
        parked.push_back(task);
      else if (!task.object->error)
        task.object->error = std::move(ran).error();
    }
  }
  work_ = std::move(parked);
}

/// Whether a wanted path leads, by hard links alone, to something that can be shown without the
/// rest of the file.
bool FileReader::is_found(const std::string& path) const {
  const Object* at = objects_.root;
  for (size_t begin = 0; at && begin < path.size();) {
    size_t end = std::min(path.find('/', begin + 1), path.size());
    std::string name = path.substr(begin + 1, end - begin - 1);
    auto link = std::find_if(at->links.begin(), at->links.end(), [&](const Link& l) {
      return l.name == name || (end == path.size() && variable_name(l.name) == name);
    });
    at = link == at->links.end() || link->kind != Link::Kind::kHard ? nullptr
                                                                    : objects_.find(link->address);
    begin = end;
  }
  if (!at || at->error) return false;
  if (at->what == Object::What::kGroup) return true;
  // Virtual data may lie anywhere in the file.
  return at->dataset && !at->dataset->is_virtual &&
         (options_.all_attributes || !is_dimension_only(*at));
}

/// The groups on the way to an object, outermost first; none where names of links hide the way.
std::vector<const Object*> FileReader::groups_above(const Object& object) const {
  std::vector<const Object*> groups{objects_.root};
  for (size_t begin = 1;; ++begin) {
    size_t end = object.path.find('/', begin);
    if (end == std::string::npos) return groups;
    std::string_view name = std::string_view(object.path).substr(begin, end - begin);
    const auto& links = groups.back()->links;
    auto link = std::find_if(links.begin(), links.end(), [&](const Link& l) {
      return l.kind == Link::Kind::kHard && l.name == name;
    });
    const Object* group = link == links.end() ? nullptr : objects_.find(link->address);
    if (!group) return {};
    groups.push_back(group);
    begin = end;
  }
}

/// Wants the scales of a dataset, and what else bears the names of its dimensions in the groups
/// where a coordinate is looked for. False: a scale lies elsewhere.
bool FileReader::follow_scales(const Object& object) {
  std::vector<const Object*> groups;
  for (uint64_t address : listed_scales(object)) {
    if (address == kUndefined) continue;
    if (groups.empty()) groups = groups_above(object);
    if (groups.empty()) return false;
    if (!followed_.emplace(groups.back(), address).second) continue;
    const Link* scale = nullptr;
    for (auto group = groups.rbegin(); group != groups.rend() && !scale; ++group) {
      for (const Link& link : (*group)->links)
        if (!scale && link.kind == Link::Kind::kHard && link.address == address) scale = &link;
    }
    if (!scale) return false;
    for (const Object* group : groups) {
      bool more = false;
      for (const Link& link : group->links) {
        if (link.name != scale->name && variable_name(link.name) != scale->name) continue;
        if (link.kind != Link::Kind::kHard) return false;
        more |= wanted_.add(group->path + "/" + link.name);
      }
      if (more) reach_links(*group);
    }
  }
  return true;
}

/// Of a part of the file that has been read: whether it can stand by itself, with the scales that
/// follow_scales has found.
bool FileReader::is_whole_part() const {
  for (size_t i = 0; i < options_.only.size(); ++i)
    if (!is_found(wanted_.paths()[i])) return false;
  std::unordered_set<int64_t> known;
  for (const Object& object : objects_.all)
    if (auto id = dimension_id(object)) known.insert(*id);
  for (const Object& object : objects_.all) {
    if (!object.dataset) continue;
    for (int64_t id : dimension_ids(object))
      if (!known.contains(id)) return false;
  }
  return true;
}

/// Looks, beside what is read, at the extents of all variables of the unlimited dimensions that it
/// has: the longest gives the dimension its length. False: the file does not tell which they are.
bool FileReader::measure_uses() {
  if (options_.all_attributes || !options_.trail.empty()) return true;
  for (const Object& object : objects_.all) {
    if (!is_unlimited_scale(object)) continue;
    auto uses = uses_of_scale(object);
    if (!uses) return false;
    for (const ScaleUse& use : *uses) {
      if (objects_.find(use.dataset) || !measured_.insert(use.dataset).second) continue;
      work_.push_back({Step::kMeasure, &to_measure_.emplace_back(use.dataset, "")});
    }
  }
  return true;
}

Result<> FileReader::measure(Window& window, Object& object) {
  UPWELL_CHECK(object.header.read(window, facts()));
  const Message* message = object.header.find(kMsgDataspace);
  if (!message) return {};
  UPWELL_TRY(MessageBody body, shared_.body(window, *message));
  UPWELL_CHECK(count_header(window, object.header));
  Cursor in(body.bytes, body.offset, facts());
  UPWELL_TRY(Dataspace space, read_dataspace(in));
  objects_.measured.emplace(object.header.address(), std::move(space.shape));
  return {};
}

/// When all that is wanted has been read: wants what that needs, or else the whole file. True:
/// there is more to read.
bool FileReader::complete_part() {
  if (!unused_.empty() && has_other_ways()) {
    while (!unused_.empty()) use(*unused_.back());
    return true;
  }
  if (wanted_.everything()) return false;
  bool alone = true;
  // More objects may come while they are looked at.
  for (size_t i = 0; i < objects_.all.size() && alone; ++i)
    alone = !objects_.all[i].dataset || follow_scales(objects_.all[i]);
  if (alone && !work_.empty()) return true;
  alone = alone && measure_uses();
  if (alone && !work_.empty()) return true;
  if (alone && is_whole_part()) return false;
  wanted_.want_everything();
  used_.want_everything();
  for (size_t i = 0; i < objects_.all.size(); ++i) reach_links(objects_.all[i]);
  return true;
}

Result<Dataset> FileReader::finish() {
  Dataset dataset;
  dataset.format = "hdf5";
  dataset.partial = !wanted_.everything();
  dataset.granules->intern(granule_);
  UPWELL_CHECK(build_tree(objects_, options_, wanted_, dataset, pending_, named_));
  name(dataset, pending_.empty());
  return dataset;
}

bool recognise_hdf5(ByteSpan head, uint64_t) {
  Window window(head.size());
  window.add(0, SharedBytes(nullptr, head));
  return find_signature(window).has_value();
}

std::unique_ptr<GranuleReader> make_hdf5_reader(const Granule& granule,
                                                const ScanOptions& options) {
  return std::make_unique<FileReader>(granule, options);
}

Result<> link_hdf5(io::Session& session, GranuleReader& reader, Dataset& dataset,
                   const ScanOptions& options, int depth) {
  auto& file = static_cast<FileReader&>(reader);
  if (file.pending().empty()) return {};
  UPWELL_CHECK(link_files(session, dataset, file.pending(), file.facts(), options, depth));
  // Virtual datasets have their shapes now, and links their targets.
  file.name(dataset, true);
  return {};
}

}  // namespace

const Format& hdf5_format() {
  static const Format format{"hdf5", kHeadBytes, recognise_hdf5, make_hdf5_reader, link_hdf5};
  return format;
}

}  // namespace upwell::format::hdf5
