#!/bin/sh
# Builds the core with the address and undefined-behaviour sanitizers and runs its tests: tests/sanitize.sh [PYTHON]
set -eu
python=$(command -v "${1:-python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/sanitize
mkdir -p "$build/tree"
cmake -S "$root" -B "$build/cmake" -DPython_EXECUTABLE="$python" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLUTRA_SANITIZE=ON
cmake --build "$build/cmake" --parallel 2
# A copy of the tree with the sanitized module in it: the tests must not find another one.
rm -rf "$build/tree"
mkdir -p "$build/tree"
cp -r "$root/lutra" "$root/tests" "$root/pyproject.toml" "$build/tree"
rm -f "$build"/tree/lutra/_core/_lutra*.so
cp "$build"/cmake/_lutra*.so "$build/tree/lutra/_core"
cd "$build/tree"
# An editable installation would find the module that it installed, whatever the path says.
cat > sitecustomize.py <<'END'
import sys

sys.meta_path = [finder for finder in sys.meta_path if "Redirecting" not in type(finder).__name__]
END
export PYTHONPATH=$build/tree
# The sanitizer's library comes first, as Python itself is not built with it; Python never frees everything.
export LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so) $(c++ -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
"$python" -c 'import lutra._core._lutra as core; assert "build/sanitize/tree" in core.__file__, core.__file__'
exec "$python" -m pytest tests/unit/engine tests/unit/lookup/test_compiled.py tests/unit/test_patches.py -q -p no:cacheprovider
