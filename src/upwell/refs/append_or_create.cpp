#include "refs/append_or_create.hpp"

#include "refs/store/store.hpp"
#include "refs/store_lock.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

constexpr int kAttemptsAtOnce = 5;  // of runs that make one set

/// What is read of a set when it is opened.
std::string document_of(const std::string& store) {
  const std::string base = store.ends_with('/') ? store : store + "/";
  if (names_store(store)) return base + kManifest;
  return wants_parquet(store) ? base + ".zmetadata" : store;
}

Result<> create(io::Session& session, const std::string& store,
                const std::vector<std::string>& sources, const AppendOptions& options,
                AppendReport& report) {
  VirtualizeOptions plan = options.virtualize;
  plan.must_be_new = true;
  report = {};
  UPWELL_CHECK(virtualize(session, sources, store, plan, report.virtualize));
  report.added = report.granules = report.virtualize.combine.order.size();
  report.written = true;
  return {};
}

Result<bool> is_there(io::Session& session, const std::string& store) {
  const std::string url = io::normal_url(document_of(store));
  session.forget(url);
  auto there = session.stat(url);
  if (there) return true;
  if (there.error().code != Code::kNotFound) return fail(std::move(there).error());
  return false;
}

Result<> try_once(io::Session& session, const std::string& store,
                  const std::vector<std::string>& sources, const AppendOptions& options,
                  AppendReport& report) {
  UPWELL_TRY(bool there, is_there(session, store));
  if (!there && io::scheme_of(store) == "file") {
    // Another run may be making it.
    fs::path directory = fs::absolute(fs::path(store)).lexically_normal();
    if (!directory.has_filename()) directory = directory.parent_path();
    directory = directory.parent_path();
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return fail(Code::kCannotWrite, directory.string() + ": " + error.message());
    UPWELL_TRY(const StoreLock lock, StoreLock::take(directory));
    UPWELL_TRY(there, is_there(session, store));
    if (!there) return create(session, store, sources, options, report);
  } else if (!there) {
    return create(session, store, sources, options, report);
  }
  report = {};
  return append(session, store, sources, options, report);
}

}  // namespace

Result<> append_or_create(io::Session& session, const std::string& store,
                          const std::vector<std::string>& sources, const AppendOptions& options,
                          AppendReport& report) {
  AppendOptions plan = options;
  for (int attempt = 1;; ++attempt) {
    Result<> done = try_once(session, store, sources, plan, report);
    plan.virtualize.renew_copies = true;  // this run's were written, the other's set is there
    // Another run put its set into place first.
    const bool there =
        !done && io::scheme_of(store) != "file" && done.error().code == Code::kAlreadyExists;
    if (!there || attempt >= kAttemptsAtOnce) return done;
  }
}

}  // namespace upwell::refs
