#include "tests/pretend_device.hpp"

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

namespace moellava::testing {

namespace {

struct Block {
  void* begin;
  size_t bytes;
};

void check(bool holds, const char* what) {
  TORCH_CHECK(holds, "pretend device: ", what);
}

class Allocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    bytes = std::max<size_t>(bytes, 1);
    void* begin = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(begin != MAP_FAILED, "no memory");
    return {begin, new Block{begin, bytes}, &release, kPretendDevice};
  }
  void copy_data(void*, const void*, size_t) const override { check(false, "copied as bytes"); }

 private:
  static void release(void* context) {
    const std::unique_ptr<Block> block(static_cast<Block*>(context));
    munmap(block->begin, block->bytes);
  }
};

Allocator* allocator() {
  static Allocator instance;
  return &instance;
}

// The values of a tensor of either device as one of the processor's, while this lives.
class Opened {
 public:
  explicit Opened(const at::Tensor& tensor) : values(tensor) {
    if (tensor.is_cpu()) return;
    const c10::Storage& storage = tensor.storage();
    block_ = static_cast<Block*>(storage.data_ptr().get_context());
    protect(PROT_READ | PROT_WRITE);
    auto* first = static_cast<std::byte*>(block_->begin) + tensor.storage_offset() * tensor.itemsize();
    values = at::from_blob(first, tensor.sizes(), tensor.strides(), at::TensorOptions(tensor.scalar_type()));
  }
  ~Opened() {
    if (block_ != nullptr) protect(PROT_NONE);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  at::Tensor values;

 private:
  void protect(int rights) { check(mprotect(block_->begin, block_->bytes, rights) == 0, "mprotect failed"); }
  Block* block_ = nullptr;
};

at::Tensor& copy_into(at::Tensor& to, const at::Tensor& from) {
  const c10::impl::ExcludeDispatchKeyGuard no_autograd(c10::autograd_dispatch_keyset);
  // Through memory of its own: both may lie in one block.
  const at::Tensor values = Opened(from).values.clone();
  Opened(to).values.copy_(values);
  return to;
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   at::dtype_or_default(type), format);
}
at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           at::dtype_or_default(type));
}
at::Tensor& copy(at::Tensor& self, const at::Tensor& from, bool) {
  return copy_into(self, from);
}
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  at::Tensor result = to;
  return copy_into(result, from);
}
at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  at::Tensor result = to;
  if (from.sizes() != to.sizes()) {  // an out= that was made empty
    c10::TensorImpl* impl = result.unsafeGetTensorImpl();
    impl->set_storage_keep_dtype(at::empty(from.sizes(), to.options()).storage());
    impl->set_sizes_contiguous(from.sizes());
  }
  return copy_into(result, from);
}

// What libtorch leaves to devices of its own kind.
at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                       at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
                       int64_t groups) {
  const auto own_bias = bias && bias->defined() ? std::optional(bias->cpu()) : std::nullopt;
  return at::convolution(input.cpu(), weight.cpu(), own_bias, stride, padding, dilation, transposed,
                         output_padding, groups)
      .to(kPretendDevice);
}

// The one device of its kind, there whenever it is asked for.
struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
};
// One stream, in which everything is done at once.
struct Guard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kPretendDevice); }
  c10::Device exchangeDevice(c10::Device) const override { return kPretendDevice; }
  c10::Device getDevice() const override { return kPretendDevice; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
};
const bool registered = [] {
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::register_privateuse1_backend("pretend");
  return true;
}();

// A number may lie on the processor, as with CUDA.
void check_device(const at::Tensor& tensor) {
  check(!tensor.defined() || tensor.dim() == 0 || tensor.device() == kPretendDevice,
        "an operation on tensors of two devices");
}

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& argument : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (argument.isTensor()) check_device(argument.toTensor());
    if (argument.isTensorList()) {
      for (const at::Tensor& tensor : argument.toTensorVector()) check_device(tensor);
    }
  }
  at::native::cpu_fallback(op, stack);
}

}  // namespace

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("copy_", &copy);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("convolution_overrideable", &convolution);
}

}  // namespace moellava::testing
