#!/bin/sh
# Build the core with sanitizers and run its tests: tests/sanitize.sh address|thread [short]
# PYTHON is the interpreter of an environment that can run the tests.
set -eu
kind=${1:-}
length=${2:-full}
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "${PYTHON:-python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
build=$root/build/sanitize
tools=$build/tools-$kind
tree=$build/$kind  # the package, and the tests next to it: they must not find another core
engine=tests/unit/engine
process=$engine/test_process.py
runtime=tests/unit/liblutra
lookup="tests/unit/reference/lookup/test_compiled.py tests/unit/reference/lookup/test_layered.py"
case $kind-$length in
address-full) tests="$engine $lookup tests/unit/training/test_patches.py $runtime" ;;
address-short) tests="$engine/test_engine.py tests/unit/training/test_patches.py $runtime/test_damaged_plans.py" ;;
thread-full) tests="$engine/test_engine.py $engine/test_pool.py $process $lookup $runtime/test_library.py" ;;
thread-short) tests="$engine/test_pool.py $process::test_a_process_ends_while_a_daemon_thread_computes
    $engine/test_engine.py::test_one_engine_serves_many_threads" ;;
*) echo "found '$kind $length', expected address or thread, then short or nothing" >&2 && exit 2 ;;
esac
case $kind in
address) sanitizers=address,undefined libraries="libasan.so libubsan.so" ;;
thread) sanitizers=thread libraries=libtsan.so ;;
esac

cd "$root"
pip() { "$python" -m pip --disable-pip-version-check -qq "$@"; }
if [ ! -d "$tools" ]; then
    wanted=$("$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
    command -v cmake >/dev/null || wanted="$wanted cmake ninja"
    # shellcheck disable=SC2086
    pip install --target "$tools.part" -c constraints.txt $wanted
    mv "$tools.part" "$tools"
fi
rm -rf "$tree"
PATH=$tools/bin:$PATH PYTHONPATH=$tools LUTRA_REQUIRE_ENGINE=1 pip install --no-deps --no-build-isolation \
    --target "$tree" -C build-dir="$build/cmake-$kind" -C cmake.build-type=RelWithDebInfo \
    -C cmake.define.CMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" -C cmake.define.LUTRA_SANITIZE=$sanitizers .
cp -r tests liblutra examples docs pyproject.toml CMakeLists.txt "$tree"
cp -r lutra/_core/*.[ch]pp lutra/_core/kernel "$tree/lutra/_core"
cd "$tree"
# An editable installation would find its own core, whatever the path says
cat > sitecustomize.py <<'END'
import sys

sys.meta_path = [finder for finder in sys.meta_path if "Redirecting" not in type(finder).__name__]
END
# What the tests compile is checked too
export PYTHONPATH="$tree" CXXFLAGS="-g -fsanitize=$sanitizers" LUTRA_SANITIZE=$sanitizers
export LUTRA_RESTORING="$build/cmake-$kind"  # where its objects lie already
# Python itself is not built with the sanitizer, so its library must come first
preload=
for library in $libraries libstdc++.so; do preload="$preload $(c++ -print-file-name=$library)"; done
export LD_PRELOAD="$preload"
# Python never frees everything
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1 die_after_fork=0 ignore_noninstrumented_modules=1"
"$python" -c 'import sys, lutra._core as core; assert core.core.__file__.startswith(sys.argv[1]), core.core' "$tree"
# shellcheck disable=SC2086
exec "$python" -m pytest -q -p no:cacheprovider $tests
