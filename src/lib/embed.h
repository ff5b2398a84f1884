/* embed.h -- what an engine inside a C program keeps of itself and of its calls. */
#ifndef RT_EMBED_H
#define RT_EMBED_H

#include "lib.h"
#include "native.h"

typedef struct rt_prepared rt_prepared;

struct rt_host {
  lua_State *L;
  rt_engine *engine;
  rt_loaded home;          /* of the calls that are prepared: they belong to no plugin */
  char *problem;           /* what rt_add has said last */
  rt_prepared *started;    /* calls that have not ended, or nobody was told yet */
};

typedef enum rt_prepared_what { RT_A_NODE, RT_A_FILE, RT_A_TEXT } rt_prepared_what;

struct rt_prepared {
  rt_native_call values;   /* first: the header calls this a call. Its results are the ... */
  rt_host *host;           /* ... arguments until it is started */
  rt_native native;
  rt_prepared_what what;
  char *text, *name;       /* in the arena */
  rt_prepared *next;       /* among the started ones */
  rt_run *run;             /* NULL: not started, or over */
  lua_State *co;           /* on whose stack the run finds its arguments and leaves results */
  int anchor;              /* of that */
  void (*done)(rt_native_call *c, void *data);
  void *data;
  bool started;
  bool over;               /* what came of it stands in 'values' or 'problem' */
  bool released;           /* before it was over */
  rt_problem problem;
};

static inline rt_prepared *rt_prepared_of(const rt_native_call *c) {
  return (rt_prepared *)(uintptr_t)c;
}

void rt_prepared_free(rt_prepared *p);

/* The call fails with the text. */
void rt_prepared_fail(rt_prepared *p, const char *problem);

/* Ends all started calls, for rt_close. */
void rt_host_end_all(rt_host *h);

#endif
