// See process.hpp.
#include "process.hpp"

#ifndef _WIN32
#include <pthread.h>
#endif

namespace lutra {

constinit std::atomic<unsigned> forks{0};

#ifndef _WIN32
namespace {
const int watches_forks = pthread_atfork(nullptr, nullptr, [] { ++forks; });
}
#endif

}  // namespace lutra
