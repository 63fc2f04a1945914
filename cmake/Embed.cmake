# moellava_embed(NAME files...): makes files of src/NAME readable in its sources as string literals:
#   constexpr std::string_view kStyle =
#   #include "embedded/NAME/page.css.inc"
#   ;
function(moellava_embed name)
  foreach(file ${ARGN})
    set(source ${CMAKE_SOURCE_DIR}/src/${name}/${file})
    get_filename_component(base ${file} NAME)
    file(READ ${source} text)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/include/embedded/${name}/${base}.inc
      CONTENT "R\"embedded(@text@)embedded\"\n" @ONLY)
    set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  endforeach()
  target_include_directories(moellava_${name} PRIVATE ${CMAKE_BINARY_DIR}/include)
endfunction()
