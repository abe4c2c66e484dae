#include "serve/site.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/machine.hpp"
#include "serve/html.hpp"
#include "serve/picture.hpp"

namespace upwell::serve {
namespace {

constexpr const char* kHtmlType = "text/html; charset=utf-8";

std::string joined(const std::vector<std::string>& segments, size_t first) {
  std::string out;
  for (size_t i = first; i < segments.size(); ++i) {
    if (i > first) out += '/';
    out += segments[i];
  }
  return out;
}

Response html_response(const std::string& html) {
  Response response;
  response.content_type = kHtmlType;
  response.body = Body::of(html);
  response.etag = content_hash(response.body.bytes.span());
  response.compressible = true;
  // Nothing is loaded from elsewhere and nothing runs, whatever a file's attributes say.
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; img-src 'self' data:; style-src "
                                "'unsafe-inline'; base-uri 'none'; form-action 'none'");
  response.headers.emplace_back("Cache-Control", "no-cache");
  return response;
}

Response preflight(const Request& request) {
  Response response;
  response.status = 204;
  response.headers.emplace_back("Allow", "GET, HEAD, OPTIONS");
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
  const std::string_view asked = request.header("Access-Control-Request-Headers");
  // What is asked for is echoed only when it is a list of plain names.
  const bool plain = std::all_of(asked.begin(), asked.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == ',' || c == ' ';
  });
  response.headers.emplace_back("Access-Control-Allow-Headers",
                                asked.empty() || !plain
                                    ? "Range, If-None-Match, If-Range, Cache-Control"
                                    : std::string(asked));
  response.headers.emplace_back("Access-Control-Max-Age", "86400");
  response.headers.emplace_back("Vary", "Access-Control-Request-Headers");
  return response;
}

Response moved_to(const std::string& path) {
  Response response;
  response.status = 301;
  response.headers.emplace_back("Location", path);
  return response;
}

/// "http://host:port" as the client sees us.
std::string base_of(const Request& request) {
  const std::string_view host = request.header("Host");
  const bool sane = !host.empty() && host.size() < 256 &&
                    std::all_of(
                        host.begin(), host.end(),
                        [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-' ||
                                 c == '[' || c == ']';
                        });
  const bool secure = request.header("X-Forwarded-Proto") == "https";
  return std::string(secure ? "https://" : "http://") +
         (sane ? std::string(host) : "127.0.0.1:9000");
}

}  // namespace

Site::Site(io::Session& session, SiteOptions options)
    : session_(std::shared_ptr<void>(), &session),
      cache_(options.cache_bytes),
      budget_(options.memory_bytes > 0 ? options.memory_bytes : physical_memory() / 2,
              options.patience_s) {}

Result<> Site::add(const std::string& id, const std::string& source, Dataset dataset) {
  const std::lock_guard lock(mutex_);
  const auto taken = [&](const std::string& name) {
    return std::any_of(datasets_.begin(), datasets_.end(),
                       [&](const auto& other) { return other->id() == name; });
  };
  std::string free_id = id;
  for (int n = 2; taken(free_id); ++n) free_id = id + "-" + std::to_string(n);
  UPWELL_TRY(auto served,
             ServedDataset::make(session_, free_id, source, std::move(dataset), ++revision_));
  datasets_.push_back(std::move(served));
  return {};
}

void Site::seal() {
  const std::lock_guard lock(mutex_);
  contents_ = contents_of(datasets_);
}

Result<> Site::replace(const std::string& id, Dataset dataset,
                       std::shared_ptr<io::Session> session) {
  uint64_t revision = 0;
  std::shared_ptr<const ServedDataset> before;
  {
    const std::lock_guard lock(mutex_);
    revision = ++revision_;
    for (const auto& served : datasets_)
      if (served->id() == id) before = served;
  }
  if (!before) return fail(Code::kNotFound, "there is no dataset " + id);
  UPWELL_TRY(auto fresh, ServedDataset::make(std::move(session), id, before->source(),
                                             std::move(dataset), revision, before.get()));
  const std::lock_guard lock(mutex_);
  for (auto& served : datasets_)
    if (served->id() == id) served = fresh;
  contents_ = contents_of(datasets_);
  return {};
}

Site::Datasets Site::datasets() const {
  const std::lock_guard lock(mutex_);
  return datasets_;
}

std::shared_ptr<const Site::Contents> Site::contents() const {
  const std::lock_guard lock(mutex_);
  return contents_;
}

std::shared_ptr<const Site::Contents> Site::contents_of(const Datasets& datasets) {
  auto out = std::make_shared<Contents>();
  out->datasets = datasets;
  nlohmann::json ids = nlohmann::json::array();
  for (const auto& dataset : datasets) {
    ids.push_back(dataset->id());
    out->by_id[dataset->id()] = dataset;
    for (const auto& [key, document] : dataset->documents()) {
      out->documents["/datasets/" + dataset->id() + "/" + key] = document;
    }
  }
  const std::string text = ids.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  out->documents["/datasets"] = Document::make(text, "application/json");
  out->documents["/datasets/"] = out->documents["/datasets"];
  return out;
}

std::optional<Response> Site::quick(const Request& request) const {
  asked_.store(true, std::memory_order_relaxed);
  const auto contents = this->contents();
  if (request.method == "OPTIONS") return finish(request, preflight(request));
  if (request.method != "GET" && request.method != "HEAD") {
    Response response = error_response(405, "only GET, HEAD and OPTIONS");
    response.headers.emplace_back("Allow", "GET, HEAD, OPTIONS");
    return finish(request, std::move(response));
  }
  if (request.target == "/healthz") {
    Response response;
    response.content_type = "application/json";
    response.body = Body::of(
        "{\"status\":\"ok\",\"datasets\":" + std::to_string(contents->datasets.size()) + "}\n");
    response.headers.emplace_back("Cache-Control", "no-store");
    return finish(request, std::move(response));
  }
  const size_t question = request.target.find('?');
  const auto found = question == std::string::npos
                         ? contents->documents.find(request.target)
                         : contents->documents.find(request.target.substr(0, question));
  if (found == contents->documents.end()) return std::nullopt;
  return finish(request, found->second.response());
}

Response Site::handle(const Request& request) const {
  if (auto response = quick(request)) return std::move(*response);
  return finish(request, route(*contents(), request));
}

Handlers Site::handlers() const {
  return {[this](const Request& request) { return quick(request); },
          [this](const Request& request) { return handle(request); }};
}

Response Site::route(const Contents& contents, const Request& request) const {
  const auto segments = split_target(request.target);
  if (!segments) return error_response(400, "the path is malformed");
  if (segments->size() == 1 && segments->front().empty()) {
    return html_response(index_page(contents.datasets));
  }
  // Escapes that were not needed: the same document under another spelling.
  const auto document = contents.documents.find("/" + joined(*segments, 0));
  if (document != contents.documents.end()) return document->second.response();
  if (segments->size() < 2 || segments->front() != "datasets") {
    return error_response(404, "nothing is here; see /datasets");
  }
  const auto dataset = contents.by_id.find((*segments)[1]);
  if (dataset == contents.by_id.end()) {
    return error_response(404, "there is no dataset " + (*segments)[1]);
  }
  return dataset_route(request, *dataset->second, *segments);
}

Response Site::dataset_route(const Request& request, const ServedDataset& dataset,
                             const std::vector<std::string>& segments) const {
  if (segments.size() == 2) return moved_to("/datasets/" + escape_path(dataset.id()) + "/");
  const std::string& view = segments[2];
  if (segments.size() == 3 && view.empty()) {
    return html_response(dataset_page(dataset, base_of(request)));
  }
  if (segments.size() == 3 && view == "refs.json") {
    bool partial = false;
    for (const auto& [key, value] : query_of(request.target))
      partial = partial || (key == "partial" && value == "1");
    const auto document = dataset.references(partial);
    if (document) return document->response();
    const bool cannot = document.error().code == Code::kUnsupported;
    return cannot ? error_response(422, document.error().to_string())
                  : error_response(document.error());
  }
  if (segments.size() > 3 && (view == "zarr" || view == "kerchunk")) {
    return dataset.chunk(view == "kerchunk", joined(segments, 3), cache_, budget_);
  }
  if (segments.size() > 3 && view == "picture")
    return picture(request, dataset, joined(segments, 3));
  return error_response(404, "dataset " + dataset.id() + " has no " + joined(segments, 2));
}

Response Site::picture(const Request& request, const ServedDataset& dataset,
                       const std::string& name) const {
  constexpr std::string_view kEnd = ".png";
  if (!name.ends_with(kEnd)) return error_response(404, "pictures are called NAME.png");
  const std::string path = name.substr(0, name.size() - kEnd.size());
  const ServedArray* array = dataset.find(path);
  if (array == nullptr) return error_response(404, "there is no variable " + path);
  if (!can_draw(*array->array)) return error_response(422, path + " cannot be drawn");
  std::string wanted;
  for (const auto& [key, value] : query_of(request.target)) {
    if (key == "index") wanted = value;
  }
  auto index = parse_picture_index(wanted);
  if (!index) return error_response(400, index.error().message);
  std::string key = dataset.cache_name() + "\npicture\n" + path;
  for (const auto& [dimension, position] : *index) {
    key += '\n' + dimension + ':' + std::to_string(position);
  }
  auto bytes = cache_.get(key);
  if (!bytes) {
    auto lease = budget_.take(memory_to_draw(*array->array));
    if (!lease) return error_response(std::move(lease).error().with("picture of /" + path));
    auto drawn = draw_picture(dataset.session(), dataset.dataset(), path, *array->array, *index);
    if (!drawn && drawn.error().code == Code::kInvalidArgument) {
      return error_response(400, drawn.error().to_string());
    }
    if (!drawn) return error_response(std::move(drawn).error().with("picture of /" + path));
    bytes = SharedBytes(std::move(*drawn));
    cache_.put(key, *bytes);
  }
  Response response;
  response.content_type = "image/png";
  response.etag = content_hash(bytes->span());
  response.body = Body::of(std::move(*bytes));
  response.headers.emplace_back("Cache-Control", "public, max-age=60, must-revalidate");
  return response;
}

std::string id_of_source(std::string_view source) {
  source = source.substr(0, source.find_first_of("?#"));
  while (source.size() > 1 && source.back() == '/') source.remove_suffix(1);
  if (source.ends_with("/.zmetadata") || source.ends_with("/zarr.json") ||
      source.ends_with(".upwell/manifest.json")) {
    source = source.substr(0, source.rfind('/'));
  }
  std::string name(source.substr(source.rfind('/') + 1));
  for (const char* end : {".upwell", ".json", ".parquet", ".parq", ".zarr", ".nc4", ".nc", ".hdf5",
                          ".h5", ".he5", ".cdf", ".grib2", ".grb", ".tif", ".tiff"}) {
    if (name.size() > std::string_view(end).size() && name.ends_with(end)) {
      name.resize(name.size() - std::string_view(end).size());
      break;
    }
  }
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  if (name.empty() || name == "." || name == "..") name = "dataset";
  return name;
}

}  // namespace upwell::serve
