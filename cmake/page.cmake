# The server's built-in page as a C string: src/serve/page.html becomes page_html.c in the build
# folder.
set(page ${CMAKE_SOURCE_DIR}/src/serve/page.html)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
file(READ ${page} page_bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," page_bytes "${page_bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
  page_bytes "${page_bytes}")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/page_html.c @ONLY CONTENT
"/* Made from src/serve/page.html. */
extern const char samp__page_html[];
const char samp__page_html[] = {
@page_bytes@0};
")
target_sources(samp_serve PRIVATE ${CMAKE_BINARY_DIR}/page_html.c)
