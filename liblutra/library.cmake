# liblutra: the core behind a C interface, shared and static, with what finds it (docs/c.md). Included by CMakeLists.txt.
option(LUTRA_SHARED "Build the shared library" ON)
option(LUTRA_STATIC "Build the static library" ON)
set(LUTRA_RESTORING "" CACHE PATH "Folder where pip built the Python module from the same sources: its objects are used")
if(LUTRA_RESTORING)
  file(GLOB_RECURSE compiled ${LUTRA_RESTORING}/CMakeFiles/lutra_restoring.dir/*${CMAKE_CXX_OUTPUT_EXTENSION})
  if(NOT compiled)
    message(FATAL_ERROR "${LUTRA_RESTORING}: found no objects of the Python module")
  endif()
  set(restoring)
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(here ${CMAKE_CURRENT_LIST_DIR})
file(STRINGS pyproject.toml found REGEX "^version = ")
string(REGEX REPLACE "^version = \"(.*)\"$" "\\1" LUTRA_VERSION "${found}")
file(STRINGS ${here}/lutra.h found REGEX "^#define LUTRA_ABI ")
string(REGEX REPLACE "^#define LUTRA_ABI " "" abi "${found}")

# Compiled once for both.
add_library(lutra_objects OBJECT ${restoring} ${here}/reader.cpp ${here}/bicubic.cpp ${here}/any_size.cpp
  ${here}/outputs.cpp ${here}/library.cpp)
lutra_uses_core(lutra_objects)
target_include_directories(lutra_objects PRIVATE ${core} ${here})
target_compile_definitions(lutra_objects PRIVATE LUTRA_BUILDS LUTRA_RUNTIME LUTRA_VERSION="${LUTRA_VERSION}")
set_target_properties(lutra_objects PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)

function(lutra_add_library name kind export)
  add_library(${name} ${kind} $<TARGET_OBJECTS:lutra_objects> ${compiled})
  lutra_uses_core(${name})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME lutra EXPORT_NAME ${export} PUBLIC_HEADER ${here}/lutra.h)
  target_include_directories(${name} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS ${name} EXPORT lutraTargets
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

if(LUTRA_SHARED)
  lutra_add_library(lutra SHARED lutra)
  set_target_properties(lutra PROPERTIES VERSION ${LUTRA_VERSION} SOVERSION ${abi})
  if(UNIX AND NOT APPLE)
    # Templates of the C++ library would be exported too. Threads run the code until the process ends.
    target_link_options(lutra PRIVATE -Wl,--version-script=${here}/exports.map -Wl,-z,nodelete)
    set_target_properties(lutra PROPERTIES LINK_DEPENDS ${here}/exports.map)
  endif()
endif()
set(cxx_runtime stdc++)
if("c++" IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
  set(cxx_runtime c++)
endif()
if(LUTRA_STATIC)
  lutra_add_library(lutra_static STATIC static)
  target_link_libraries(lutra_static INTERFACE ${cxx_runtime} m)  # for programs that are all C
endif()

set(config ${CMAKE_INSTALL_LIBDIR}/cmake/lutra)
install(EXPORT lutraTargets NAMESPACE lutra:: DESTINATION ${config})
configure_package_config_file(${here}/lutraConfig.cmake.in lutraConfig.cmake INSTALL_DESTINATION ${config})
write_basic_package_version_file(lutraConfigVersion.cmake VERSION ${LUTRA_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lutraConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/lutraConfigVersion.cmake
  DESTINATION ${config})

set(LUTRA_PRIVATE_LIBS "-l${cxx_runtime} -lm ${CMAKE_THREAD_LIBS_INIT}")
file(RELATIVE_PATH LUTRA_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${here}/lutra.pc.in lutra.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lutra.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
