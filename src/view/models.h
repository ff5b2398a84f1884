/* models.h -- the calls of the runs that are looked at, as columns.
 *
 * The journal has no column that says when a row was changed; a model has: every refresh is
 * a version, and each call carries the last one that changed it, so that a page is sent what
 * is new to it and nothing else. A refresh reads the rows behind the newest, and looks again
 * at those that had not ended, or were not there (a short call's row may come after those of
 * calls it made). Texts are left in the journal.
 */
#ifndef RT_VIEW_MODELS_H
#define RT_VIEW_MODELS_H

#include "source.h"

#define RT_MODEL_CALLS 2000000u  /* of a run; what comes after is told as missing */

typedef struct rt_model_call {
  uint32_t seq, parent, ordinal, node;  /* node: a place among the names */
  uint32_t version;
  uint8_t status, kind;                 /* rt_status, rt_call_kind */
  double spawned, started, ended;       /* since 1970; 0 for not yet */
} rt_model_call;

typedef struct rt_model_name {
  char *text;
  uint32_t size, hash;
} rt_model_name;

typedef struct rt_model {
  int64_t run;             /* 0: not in use */
  uint32_t epoch;          /* of this model; another one begins anew */
  uint32_t version;
  uint32_t opened;         /* of the source, when it was made */
  int64_t seen;            /* the journal's version at the last refresh */
  bool over;               /* the run had ended by then */
  bool more;               /* it has more calls than are held */
  rt_model_call *calls;
  uint32_t count, room;
  uint32_t *places;        /* of seq: its place + 1, 0 for none */
  uint32_t places_room, newest;
  uint32_t *open;          /* seqs to look at again */
  uint32_t opens, opens_room;
  rt_model_name *names;
  uint32_t names_count, names_room;
  uint32_t *table;         /* of hashes: a name's place + 1 */
  uint32_t table_room;
  uint64_t used;           /* when it was last asked for */
} rt_model;

enum { RT_MODELS = 6 };

typedef struct rt_models {
  rt_model models[RT_MODELS];
  uint32_t epoch;
  uint64_t uses;
} rt_models;

/* The run's model, up to date; NULL on failure (the source says why). */
rt_model *rt_models_of(rt_models *m, rt_source *s, const rt_run_record *run);

/* How many calls of the run were there when its model was last refreshed; -1 if it has none. */
int64_t rt_models_count(const rt_models *m, const rt_source *s, int64_t run);

void rt_models_close(rt_models *m);

#endif
