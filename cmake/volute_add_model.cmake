# volute_add_model(TARGET
#   HANDLE header.hpp                   what the rest of the program includes: functions and classes, nothing of volute
#   SOURCES source.cpp...               what defines them
#   [ISAS variant...]                   from the least demanding to the most; by default: baseline avx2 avx512 (x86-64), baseline (ARM)
#   [STATIC | SHARED]                   by default as BUILD_SHARED_LIBS says
#   [LINK_LIBRARIES library...]         beside volute::volute, for the sources
#   [COMPILE_OPTIONS option...] [COMPILE_DEFINITIONS definition...])
# Makes a library of one network for many processors: the sources are compiled once for each variant (baseline, sse4, avx2, avx512, sve256 or
# name=options, such as zen4=-march=znver4), and the program takes the last one that its processor runs, or the one that the environment
# variable VOLUTE_ISA names. The variants share no code with each other and none with the rest of the program: see docs/platforms.md.
# In the ELF format (Linux, BSD) on x86-64 and 64-bit ARM, with GNU ld, objcopy and readelf; elsewhere the library is compiled once.
set(VOLUTE_VARIANTS_DIR "${CMAKE_CURRENT_LIST_DIR}/variants")

function(volute_add_model target)
  cmake_parse_arguments(PARSE_ARGV 1 model "STATIC;SHARED" "HANDLE" "SOURCES;ISAS;LINK_LIBRARIES;COMPILE_OPTIONS;COMPILE_DEFINITIONS")
  if(NOT model_SOURCES OR NOT model_HANDLE OR model_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "volute_add_model(${target}): wanted HANDLE header and SOURCES files, got \"${ARGN}\"")
  endif()
  if(model_STATIC OR (NOT model_SHARED AND NOT BUILD_SHARED_LIBS))
    set(kind STATIC)
  else()
    set(kind SHARED)
  endif()
  cmake_path(ABSOLUTE_PATH model_HANDLE BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})

  # Elsewhere a library of one processor: that of the compiler's options.
  if(NOT CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64|aarch64")
    message(STATUS "volute_add_model(${target}): no variants here")
    add_library(${target} ${kind} ${model_SOURCES})
    target_compile_definitions(${target} PRIVATE ${model_COMPILE_DEFINITIONS})
    target_compile_options(${target} PRIVATE ${model_COMPILE_OPTIONS})
    volute_finish_model()
    return()
  endif()

  if(NOT model_ISAS)
    set(model_ISAS baseline)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
      list(APPEND model_ISAS avx2 avx512)
    endif()
  endif()
  find_program(VOLUTE_LD NAMES ${CMAKE_CXX_COMPILER_TARGET}-ld.bfd ld.bfd ld HINTS "${CMAKE_LINKER}/..")
  find_program(VOLUTE_BASH bash REQUIRED)
  mark_as_advanced(VOLUTE_LD VOLUTE_BASH)
  set(linker ${VOLUTE_LD})
  execute_process(COMMAND ${CMAKE_LINKER} --version OUTPUT_VARIABLE version ERROR_QUIET)
  if(version MATCHES "GNU ld")  # that of a cross compiler
    set(linker ${CMAKE_LINKER})
  endif()
  set(script ${VOLUTE_VARIANTS_DIR}/variants.sh)
  set(tools CXX=${CMAKE_CXX_COMPILER} LD=${linker} OBJCOPY=${CMAKE_OBJCOPY} READELF=${CMAKE_READELF})
  set(flags "${CMAKE_CXX_FLAGS}")
  if(CMAKE_CXX_COMPILER_TARGET)
    string(APPEND flags " --target=${CMAKE_CXX_COMPILER_TARGET}")
  endif()

  set(arguments "")
  set(objects "")
  foreach(isa IN LISTS model_ISAS)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env ${tools} "CXXFLAGS=${flags}" ${VOLUTE_BASH} ${script} options "${isa}" OUTPUT_VARIABLE options
      OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX REPLACE "=.*" "" isa "${isa}")
    if(NOT DEFINED first)
      set(first "${options}")
    endif()
    separate_arguments(options UNIX_COMMAND "${options}")
    set(variant ${target}.${isa})
    add_library(${variant} OBJECT ${model_SOURCES} ${VOLUTE_VARIANTS_DIR}/features.cpp)
    set_target_properties(${variant} PROPERTIES POSITION_INDEPENDENT_CODE ON INTERPROCEDURAL_OPTIMIZATION OFF UNITY_BUILD OFF)
    target_link_libraries(${variant} PRIVATE volute::volute ${model_LINK_LIBRARIES})
    target_compile_definitions(${variant} PRIVATE ${model_COMPILE_DEFINITIONS})
    target_compile_options(${variant} PRIVATE ${model_COMPILE_OPTIONS} ${options} $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    if(isa STREQUAL "baseline")
      target_compile_definitions(${variant} PRIVATE VOLUTE_VARIANT_BASELINE)
    endif()
    list(APPEND arguments "${isa}:" "$<TARGET_OBJECTS:${variant}>")
    list(APPEND objects ${variant} "$<TARGET_OBJECTS:${variant}>")  # Makefiles need the target too
  endforeach()

  string(MAKE_C_IDENTIFIER ${target} name)
  set(merged ${CMAKE_CURRENT_BINARY_DIR}/${target}.variants.o)
  add_custom_command(OUTPUT ${merged}
    COMMAND ${CMAKE_COMMAND} -E env ${tools} "CXXFLAGS=${flags} ${first}" ${VOLUTE_BASH} ${script} merge ${name} ${merged} ${arguments}
    DEPENDS ${objects} ${script} ${VOLUTE_VARIANTS_DIR}/dispatch.cpp COMMAND_EXPAND_LISTS VERBATIM COMMENT "Merging the variants of ${target}")
  set_source_files_properties(${merged} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  add_library(${target} ${kind} ${merged})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  volute_finish_model()
endfunction()

macro(volute_finish_model)
  target_link_libraries(${target} PRIVATE volute::volute ${model_LINK_LIBRARIES})
  target_sources(${target} PRIVATE ${model_HANDLE})
  cmake_path(GET model_HANDLE PARENT_PATH folder)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${folder}>)
endmacro()
