# Read by llama.cpp's build for `make test-variants` (CMAKE_PROJECT_ggml_INCLUDE): of the variants of ggml's CPU backend
# that `dynamic-backends` builds as libraries, only those that GGML_WANTED_VARIANTS names are compiled. The others, a
# dozen of two minutes each, become libraries with nothing in them, which no test loads.
function(empty_variants_that_are_not_wanted)
    get_property(targets DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/src" PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
        string(REGEX REPLACE "^ggml-cpu-" "" variant "${target}")
        if(target MATCHES "^ggml-cpu-" AND NOT target MATCHES "-feats$" AND NOT variant IN_LIST GGML_WANTED_VARIANTS)
            message(STATUS "not wanted: ${target}")
            set_property(TARGET ${target} PROPERTY SOURCES "${GGML_EMPTY_SOURCE}")
        endif()
    endforeach()
endfunction()

set(GGML_EMPTY_SOURCE "${CMAKE_CURRENT_BINARY_DIR}/empty.c")
file(WRITE "${GGML_EMPTY_SOURCE}" "")
cmake_language(DEFER CALL empty_variants_that_are_not_wanted)
