/* page.h -- the files of the page, built in; made by scripts/embed_page.cmake. */
#ifndef RT_VIEW_PAGE_H
#define RT_VIEW_PAGE_H

#include <stddef.h>

typedef struct rt_page_file {
  const char *path;            /* "/", "/page.js"; NULL at the end */
  const char *type;
  const char *tag;             /* its ETag: a hash of the text */
  const unsigned char *text;
  size_t size;
} rt_page_file;

extern const rt_page_file rt_page_files[];

#endif
