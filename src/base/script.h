/* script.h -- which file a run came from: its whole path and what it held. */
#ifndef RT_SCRIPT_H
#define RT_SCRIPT_H

typedef struct rt_script {
  char *path;      /* absolute; NULL if there is no such file */
  char hash[40];   /* "xxh3:" and the XXH3 of its bytes, 128 bits in hex; "" if unread */
} rt_script;

/* Fills '*out' for the file 'path' (NULL: no file). */
void rt_script_read(rt_script *out, const char *path);
void rt_script_free(rt_script *script);

#endif
