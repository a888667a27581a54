/* sb_base.h - the few macros that every file uses: cleanup by scope, ownership, array sizes. */
#ifndef SB_BASE_H
#define SB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define SB_CLEANUP(fn)             __attribute__((cleanup(fn)))
#define SB_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define sb_countof(array)          (sizeof(array) / sizeof((array)[0]))

/* Hand a pointer on and forget it here, so that the cleanup at scope exit finds NULL. */
#define sb_steal(p)                                                                                \
	__extension__({                                                                            \
		__typeof__(p) sb_p_ = (p);                                                         \
		(p) = NULL;                                                                        \
		sb_p_;                                                                             \
	})

/* The struct of which @ptr is the member @member. */
#define sb_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* For a heap object with a destructor that accepts NULL: makes FREEp for SB_CLEANUP(FREEp). */
#define SB_DEFINE_CLEANUP(free_fn, type)                                                           \
	static inline void free_fn##p(type *p)                                                     \
	{                                                                                          \
		free_fn(*p);                                                                       \
	}

/** For SB_CLEANUP(sb_freep) on any pointer from malloc. */
static inline void sb_freep(void *p)
{
	free(*(void **)p);
}

/** For SB_CLEANUP(sb_closep) on a file descriptor; -1 is empty. */
static inline void sb_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/** @return CLOCK_BOOTTIME in milliseconds: for deadlines and ages; counts time asleep. */
uint64_t sb_now_boot_ms(void);
/** @return CLOCK_REALTIME in milliseconds since 1970: for stamps that people read. */
uint64_t sb_now_unix_ms(void);

/** Make @text fit for a terminal, a log line and a protobuf string, in place: control characters
 * (C0, DEL, C1) become spaces and bytes that are not UTF-8 become '?'. The length stays. */
void sb_text_clean(char *text);
/** The largest size <= @max to which the @len bytes at @text can be cut without splitting a UTF-8
 * character; @len when it fits. */
size_t sb_text_cut(const char *text, size_t len, size_t max);

/** True when @s is NULL or empty. */
static inline bool sb_empty(const char *s)
{
	return !s || !*s;
}

#endif
