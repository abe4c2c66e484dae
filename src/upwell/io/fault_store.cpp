#include "io/fault_store.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "io/url.hpp"

namespace upwell::io {
namespace {

bool overlaps(Range a, Range b) {
  auto end = [](Range r) { return r.length >= kToEnd - r.offset ? kToEnd : r.offset + r.length; };
  return a.offset < end(b) && b.offset < end(a);
}

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

bool contains(const std::vector<std::string>& list, const std::string& url) {
  return std::find(list.begin(), list.end(), url) != list.end();
}

/// What the faults make of the answer of the store below.
void spoil(const std::vector<Fault>& faults, Result<SharedBytes>& answer) {
  for (const Fault& fault : faults) {
    if (!answer) return;
    if (fault.kind == Fault::Kind::kError) {
      answer = fail(fault.error);
    } else if (fault.kind == Fault::Kind::kShort) {
      answer = answer->slice(0, std::min<uint64_t>(fault.keep, answer->size()));
    } else if (fault.kind == Fault::Kind::kFlip && fault.keep < answer->size()) {
      Bytes copy = to_bytes(answer->span());
      copy[fault.keep] ^= 1;
      answer = SharedBytes(std::move(copy));
    }
  }
}

}  // namespace

FaultStore::FaultStore(std::shared_ptr<ByteStore> below, std::vector<Fault> script)
    : below_(std::move(below)), script_(std::move(script)) {}

void FaultStore::add(Fault fault) {
  std::lock_guard lock(mutex_);
  script_.push_back(std::move(fault));
}

void FaultStore::clear() {
  std::lock_guard lock(mutex_);
  script_.clear();
}

std::vector<ReadRequest> FaultStore::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

void FaultStore::set_traits(StoreTraits traits) {
  std::lock_guard lock(mutex_);
  traits_ = traits;
}

StoreTraits FaultStore::traits() const {
  {
    std::lock_guard lock(mutex_);
    if (traits_) return *traits_;
  }
  return below_->traits();
}

StoreTraits FaultStore::traits_for(const std::string& url) const {
  {
    std::lock_guard lock(mutex_);
    if (traits_) return *traits_;
  }
  return below_->traits_for(url);
}

std::vector<Fault> FaultStore::striking(const std::string& url, const Range* read) {
  std::vector<Fault> out;
  double delay_s = 0;
  {
    std::lock_guard lock(mutex_);
    if (read != nullptr) seen_.push_back({url, *read});
    for (Fault& fault : script_) {
      bool kind = read != nullptr ? fault.reads && overlaps(*read, fault.range) : fault.stats;
      if (!kind || url.find(fault.url_part) == std::string::npos) continue;
      if (fault.after > 0) {
        --fault.after;
        continue;
      }
      if (fault.times == 0) continue;
      if (fault.times != kToEnd) --fault.times;
      if (fault.kind == Fault::Kind::kDelay) delay_s += fault.delay_s;
      if (fault.kind == Fault::Kind::kChange && !contains(changed_, url)) changed_.push_back(url);
      out.push_back(fault);
    }
    if (contains(changed_, url) && !contains(accepted_, url)) {
      Fault changed;
      changed.error = {Code::kChanged, shown_url(url) + ": changed while it was read", {}, {}};
      out.insert(out.begin(), std::move(changed));
    }
  }
  if (delay_s > 0) sleep_for(delay_s);
  return out;
}

Result<ObjectInfo> FaultStore::stat(const std::string& url, const ReachPtr& reach) {
  for (const Fault& fault : striking(url, nullptr)) {
    if (fault.kind == Fault::Kind::kError) return fail(fault.error);
  }
  auto info = below_->stat(url, reach);
  std::lock_guard lock(mutex_);
  if (info && contains(changed_, url)) info->etag = "\"changed-" + info->etag + "\"";
  return info;
}

std::vector<Result<SharedBytes>> FaultStore::read(std::span<const ReadRequest> requests) {
  std::vector<std::vector<Fault>> faults;
  faults.reserve(requests.size());
  for (const ReadRequest& r : requests) faults.push_back(striking(r.url, &r.range));
  auto answers = below_->read(requests);
  for (size_t i = 0; i < answers.size(); ++i) spoil(faults[i], answers[i]);
  return answers;
}

Result<std::vector<std::string>> FaultStore::list(const std::string& prefix) {
  return below_->list(prefix);
}

Result<std::unique_ptr<ObjectWriter>> FaultStore::create(const std::string& url) {
  return below_->create(url);
}
Result<> FaultStore::remove(const std::string& url) { return below_->remove(url); }

std::optional<ObjectInfo> FaultStore::known(const std::string& url) const {
  auto info = below_->known(url);
  std::lock_guard lock(mutex_);
  if (info && contains(accepted_, url)) info->etag = "\"changed-" + info->etag + "\"";
  return info;
}

void FaultStore::expect(const std::string& url, const ObjectInfo& state) {
  below_->expect(url, state);
}

void FaultStore::forget(const std::string& url) {
  below_->forget(url);
  std::lock_guard lock(mutex_);
  if (contains(changed_, url) && !contains(accepted_, url)) accepted_.push_back(url);
}

std::optional<Traffic> FaultStore::traffic() const { return below_->traffic(); }

}  // namespace upwell::io
