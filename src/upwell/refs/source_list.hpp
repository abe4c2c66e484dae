#pragma once
// What a user names as SOURCE..., as a plain list of objects.

#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"

namespace upwell::refs {

/// Expands each source, in order: "@list.txt" to the lines of that file (empty lines and lines that
/// start with '#' do not count; relative paths are relative to the list; a line of `upwell search
/// --format json` is the data of that granule, at the place of the session's preferred scheme, else
/// behind https), "@-" to those of standard
/// input, a glob pattern that the
/// shell left alone to its matches, a directory (or a URL prefix that ends in '/' and can be
/// listed) to the files below it. Matches of one source are sorted; plain paths become absolute; an
/// object named twice is kept once. A directory that is itself a dataset (it holds .zmetadata,
/// .zgroup, .zarray or zarr.json) stays one source, also among what lies below another. A DMR++
/// ("X.nc.dmrpp") whose granule is a source too is none. A pair X.meta and X.data is one source,
/// the X.data; of the pieces X.001.002.data of a field the first is. Files of a directory or prefix
/// that are of no format (README.txt) are no sources; they go to `foreign`, and it is an error when
/// none is left. Names that granules have ("X.nc") are believed without a look. kNotFound when
/// something named is not there.
Result<std::vector<std::string>> expand_sources(io::Session& session,
                                                const std::vector<std::string>& sources,
                                                std::vector<std::string>& foreign);
/// Adds to kNotFound of an s3 URL what it may have been meant for: a prefix, without its '/'.
Error with_prefix_hint(io::Session& session, const std::string& url, Error error);
/// Leaves the set that is written out of `urls`, where it lies in a directory or prefix of
/// `sources` and is none of these itself, and gives what to tell people; of other reference sets
/// there, too, which are sources like the granules beside them. Empty when there is nothing to
/// tell.
std::vector<std::string> leave_out_target(const std::vector<std::string>& sources,
                                          const std::string& target,
                                          std::vector<std::string>& urls);
/// What to tell people of these; empty when there are none.
std::string foreign_warning(const std::vector<std::string>& foreign);

}  // namespace upwell::refs
