/* The built-in page: one file without anything from elsewhere. */
extern const char samp__page_html[];
const char samp__page_html[] = "<!doctype html><title>samp</title>";
