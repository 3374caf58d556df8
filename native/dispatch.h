// Which kernels this processor can run.
#pragma once
#include <string>
#include <vector>

#include "ternary.h"

namespace tritcoder {

// Best first; the last is always the reference.
const std::vector<const Kernels*>& usable_kernels();

// The kernel of that name, or nullptr if this processor cannot run it or there is none.
const Kernels* find_kernels(const std::string& name);

}  // namespace tritcoder
