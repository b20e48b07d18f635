/*
 * Attributes and the scoped-resource macros.
 *
 * A resource is declared with auto_x and initialised in its declaration; it is released when the
 * scope ends. Give it away with take_ptr() or take_fd(). Clang's analyser does not follow the
 * cleanup attribute, so the macro carries its suppress attribute there.
 */
#ifndef KIT_BASE_ATTR_H
#define KIT_BASE_ATTR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

#if defined(__clang__) && defined(__has_attribute)
#if __has_attribute(suppress)
#define AUTO(function) __attribute__((cleanup(function), suppress))
#endif
#endif
#ifndef AUTO
#define AUTO(function) __attribute__((cleanup(function)))
#endif

/* auto_done(buf) b = {}; calls buf_done(&b) at the end of the scope. */
#define auto_done(type) AUTO(type##_done) struct type

#define take_ptr(pointer)                                   \
	({                                                  \
		__typeof__(pointer) taken_ptr_ = (pointer); \
		(pointer) = NULL;                           \
		taken_ptr_;                                 \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#ifndef MIN /* libuv's header brings those of sys/param.h */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

#endif
