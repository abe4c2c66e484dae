#pragma once
// The variables of a granule: read, turned, mapped, masked and encoded.

#include "produce/granules/granule.hpp"
#include "produce/granules/mask.hpp"
#include "produce/granules/receipt.hpp"

namespace upwell::produce {

/// One variable as it is written, but for its attributes.
struct MadeVariable {
  format::netcdf4::Variable variable;
  ValueRange range;
  bool is_3d = false;
};

/// How a granule's variables are written.
struct VariableForm {
  GridType grid = GridType::kNative;
  bool is_3d = false;         ///< the granule, as the task says
  bool timed = true;          ///< false: time-invariant
  uint32_t element_size = 4;  ///< 4: float32, 8: float64
  int level = 5;              ///< of deflate, as the file names it
  NotFinite not_finite = NotFinite::kFail;
  int64_t end_s = 0;  ///< of the period, in seconds since the model's start; where timed
};

/// Makes the variables of one task, one after the other, so that only one is in memory beside what
/// is encoded (of a vector both components, from the first variable that needs them to the last).
class VariableMaker {
 public:
  static Result<VariableMaker> create(const Task& task, const VariableForm& form,
                                      Resources& resources, ChunkEncoder& encoder);
  /// Errors name the variable and its file.
  Result<MadeVariable> make(size_t index);
  /// What has been read so far, and what a user should know of it.
  const std::vector<FileRecord>& files() const { return files_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  VariableMaker(const Task& task, const VariableForm& form, Resources& resources,
                ChunkEncoder& encoder)
      : task_(&task), form_(form), resources_(&resources), encoder_(&encoder) {}

  /// kInvalidData where grid and factors differ in what is water: one of them is another grid's.
  Result<> check_wet_points(const Task& task) const;

  struct Source {
    std::shared_ptr<const Field> field;
    Staggering where;
  };
  Result<RawName> name_of(const MdsPair& pair) const;
  Result<Source> read(const MdsPair& pair);
  Result<Source> source_of(const TaskVariable& variable);
  Result<Source> turned(const TaskVariable& variable);
  Result<bool> is_zonal(const TaskVariable& variable) const;
  Result<> check_interval(const MdsPair& pair, const std::vector<double>& interval) const;
  Result<> form_shape(const Source& source, MadeVariable& made, Shape& shape) const;
  std::string not_finite_text(const MadeVariable& made, const Source& source,
                              const Shape& shape) const;
  Result<MadeVariable> finish(const TaskVariable& variable, const Source& source);
  template <typename In, typename Out>
  Result<ValueRange> native_values(const FieldValues<In>& in, const Source& source, Out* out) const;
  template <typename In, typename Out>
  Result<ValueRange> latlon_values(const FieldValues<In>& in, Out* out) const;
  template <typename Out>
  Result<ValueRange> fill_values(const Source& source, Out* out) const;

  const Task* task_;
  VariableForm form_;
  Resources* resources_;
  ChunkEncoder* encoder_;
  std::shared_ptr<const ModelGrid> grid_;
  std::shared_ptr<const Diagnostics> diagnostics_;
  std::shared_ptr<const Metadata> metadata_;
  std::shared_ptr<const Mapper> mapper_;  ///< of lat-lon granules
  /// Of the vector that was turned last, with the files that it comes from.
  std::vector<MdsPair> vector_files_;
  std::shared_ptr<const Field> east_, north_;
  Vertical vector_vertical_ = Vertical::kNone;
  std::vector<FileRecord> files_;
  std::vector<std::string> notes_;
};

}  // namespace upwell::produce
