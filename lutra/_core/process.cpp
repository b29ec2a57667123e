// See process.hpp.
#include "process.hpp"

#include <pthread.h>

namespace lutra {

constinit std::atomic<unsigned> forks{0};

namespace {
const int watches_forks = pthread_atfork(nullptr, nullptr, [] { ++forks; });
}

}  // namespace lutra
