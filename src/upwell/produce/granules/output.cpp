#include "produce/granules/output.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/files.hpp"
#include "io/digest.hpp"

namespace upwell::produce {
namespace {

namespace fs = std::filesystem;

Result<Bytes> read_local(const fs::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
  Bytes bytes(static_cast<size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!in) return fail(Code::kCannotWrite, path.string() + ": could not be read again");
  return bytes;
}

Result<> make_directory_of(const std::string& url) {
  if (io::scheme_of(url) != "file") return {};
  const fs::path directory = fs::path(url).parent_path();
  std::error_code error;
  if (!directory.empty()) fs::create_directories(directory, error);
  if (error) return fail(Code::kCannotWrite, directory.string() + ": " + error.message());
  return {};
}

Result<io::ObjectInfo> put_local(io::Session& session, const std::string& url, AtomicFile output) {
  UPWELL_CHECK(output.commit());
  session.forget(url);
  return session.stat(url);
}

/// By way of a local file: netCDF-C writes to nothing else.
Result<FileRecord> write_through(io::Session& session, const std::string& url,
                                 const format::netcdf4::File& file,
                                 std::vector<std::pair<std::string, std::string>>& sums,
                                 const std::vector<std::string>& checksums) {
  const bool local = io::scheme_of(url) == "file";
  const fs::path target =
      local ? fs::path(url) : fs::temp_directory_path() / url.substr(url.rfind('/') + 1);
  UPWELL_TRY(AtomicFile output, AtomicFile::create(target));
  UPWELL_CHECK(format::netcdf4::write_in_place(output.path(), file));
  UPWELL_TRY(Bytes bytes, read_local(output.path()));
  FileRecord record{url, bytes.size(), {}, {}, io::hex_digest(io::DigestKind::kSha256, bytes)};
  for (const std::string& name : checksums) {
    sums.emplace_back(name,
                      name == "md5" ? io::hex_digest(io::DigestKind::kMd5, bytes) : record.sha256);
  }
  UPWELL_TRY(io::ObjectInfo info,
             local ? put_local(session, url, std::move(output)) : session.put(url, bytes));
  record.mtime_ns = info.mtime_ns;
  record.etag = info.etag;
  return record;
}

std::string checksum_line(const std::string& sum, const std::string& url) {
  return fmt::format("{}  {}\n", sum, url.substr(url.rfind('/') + 1));
}

/// Of a granule that is about to be replaced.
Result<> remove_checksums(io::Session& session, const std::string& url,
                          const std::vector<std::string>& but) {
  for (const std::string name : {"md5", "sha256"}) {
    const std::string sidecar = url + "." + name;
    session.forget(sidecar);
    if (std::find(but.begin(), but.end(), name) != but.end() || !session.stat(sidecar)) continue;
    UPWELL_CHECK(session.remove(sidecar));
  }
  return {};
}

}  // namespace

Result<> keep_checksums(io::Session& session, const FileRecord& granule,
                        const std::vector<std::string>& checksums) {
  for (const std::string& name : checksums) {
    std::string sum = granule.sha256;
    if (name == "md5") {
      UPWELL_TRY(const SharedBytes bytes, session.read_one(granule.url));
      sum = io::hex_digest(io::DigestKind::kMd5, bytes.span());
    }
    const std::string line = checksum_line(sum, granule.url);
    const auto there = session.read_one(granule.url + "." + name);
    if (there && as_text(there->span()) == line) continue;
    UPWELL_CHECK(session.put(granule.url + "." + name, as_bytes(line)));
  }
  return {};
}

Result<FileRecord> write_granule(io::Session& session, const std::string& url,
                                 const format::netcdf4::File& file,
                                 const std::vector<std::string>& checksums) {
  UPWELL_CHECK(make_directory_of(url));
  std::vector<std::pair<std::string, std::string>> sums;
  session.forget(url);
  if (session.stat(url)) UPWELL_CHECK(remove_checksums(session, url, checksums));
  UPWELL_TRY(FileRecord record, write_through(session, url, file, sums, checksums));
  for (const auto& [name, sum] : sums) {
    const std::string line = checksum_line(sum, url);
    UPWELL_CHECK(session.put(url + "." + name, as_bytes(line)));
  }
  return record;
}

Result<> write_receipt(io::Session& session, const Receipt& receipt) {
  const std::string url = receipt_url(receipt.output.url);
  UPWELL_CHECK(make_directory_of(url));
  const std::string text = receipt.to_json();
  UPWELL_CHECK(session.put(url, as_bytes(text)));
  session.forget(url);
  return {};
}

}  // namespace upwell::produce
