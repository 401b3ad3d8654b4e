# Read by llama.cpp's build after each of its project() commands (CMAKE_PROJECT_INCLUDE in config.toml), to leave out
# what is compiled for minutes and never linked, and to compile the rest in less time.

# llama-cpp-2 takes llama-cpp-sys-2 with its default features, so llama.cpp's "common" library (its command line,
# its HTTP client) is asked for whatever Cargo.toml says.
if(PROJECT_NAME STREQUAL "llama.cpp")
    set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)

    # One file for each of its 150 kinds of model, most of whose time goes into the same headers: sixteen at a time.
    cmake_language(DEFER CALL set_property TARGET llama PROPERTY UNITY_BUILD ON)
    cmake_language(DEFER CALL set_property TARGET llama PROPERTY UNITY_BUILD_BATCH_SIZE 16)
endif()

# `make test-variants`: of the variants of ggml's CPU backend that `dynamic-backends` builds as libraries, only those
# that GGML_WANTED_VARIANTS names are compiled. The others, a dozen of two minutes each, become libraries with nothing
# in them, which no test loads.
function(empty_variants_that_are_not_wanted)
    set(empty "${CMAKE_CURRENT_BINARY_DIR}/empty.c")
    file(WRITE "${empty}" "")
    get_property(targets DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/src" PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
        string(REGEX REPLACE "^ggml-cpu-" "" variant "${target}")
        if(target MATCHES "^ggml-cpu-" AND NOT target MATCHES "-feats$" AND NOT variant IN_LIST GGML_WANTED_VARIANTS)
            set_property(TARGET ${target} PROPERTY SOURCES "${empty}")
        endif()
    endforeach()
endfunction()

if(PROJECT_NAME STREQUAL "ggml" AND DEFINED GGML_WANTED_VARIANTS)
    cmake_language(DEFER CALL empty_variants_that_are_not_wanted)
endif()
