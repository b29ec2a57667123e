# The core as one WebAssembly file, which `emcmake cmake` builds (docs/web.md). Included by CMakeLists.txt.
file(STRINGS pyproject.toml found REGEX "^version = ")
string(REGEX REPLACE "^version = \"(.*)\"$" "\\1" LUTRA_VERSION "${found}")

add_executable(lutra_web ${restoring} liblutra/reader.cpp liblutra/bicubic.cpp liblutra/any_size.cpp liblutra/library.cpp
  ${CMAKE_CURRENT_LIST_DIR}/restore.cpp)
lutra_uses_core(lutra_web)
target_include_directories(lutra_web PRIVATE ${core} liblutra)
target_compile_definitions(lutra_web PRIVATE LUTRA_RUNTIME LUTRA_BUILDS LUTRA_VERSION="${LUTRA_VERSION}")
set(vectors_and_exceptions -msimd128 -fwasm-exceptions)
target_compile_options(lutra_web PRIVATE ${vectors_and_exceptions} -fvisibility=hidden)
set(functions malloc free lutra_load_memory lutra_free lutra_error lutra_version lutra_scale lutra_colours lutra_margin
  lutra_any_size lutra_trained_planes lutra_title lutra_web_restore lutra_web_restore_to lutra_web_resize)
list(TRANSFORM functions PREPEND _)
string(JOIN "," functions ${functions})
target_link_options(lutra_web PRIVATE ${vectors_and_exceptions} -O2 --no-entry -sEXPORTED_FUNCTIONS=${functions}
  -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=1GB)
set_target_properties(lutra_web PROPERTIES OUTPUT_NAME lutra SUFFIX .wasm)
