/* log.h -- what the engine says to people, on standard error, a line at a time. */
#ifndef RT_LOG_H
#define RT_LOG_H

typedef enum rt_log_level { RT_LOG_INFO, RT_LOG_WARNING, RT_LOG_ERROR } rt_log_level;

/* Writes "railtracks: warning: ..." and a line end with one write, from any thread. */
void rt_log(rt_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
