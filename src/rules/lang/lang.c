/* See lang.h. */
#include "rules/lang/lang.h"

#include "kit/base/attr.h"
#include "kit/base/str.h"

static const struct lang langs[] = {
	{ "python", ".py", { "/usr/bin/python3", NULL },
		{ LANG_HOME, LANG_LOCALE, "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0",
			"PYTHONNOUSERSITE=1", NULL },
		{ "/usr/bin/python3", "-B", "-s", "-c", NULL }, "PYTHON" },
	{ "bash", ".sh", { "/usr/bin/bash", NULL }, { NULL }, { NULL }, NULL },
};

const struct lang *lang_at(size_t index)
{
	return index < ARRAY_SIZE(langs) ? &langs[index] : NULL;
}

const struct lang *lang_of_script(const char *script)
{
	for (size_t i = 0; i < ARRAY_SIZE(langs); i++)
		if (str_ends(script, langs[i].suffix))
			return &langs[i];
	return NULL;
}

const struct lang *lang_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(langs); i++)
		if (str_equal(name, langs[i].name))
			return &langs[i];
	return NULL;
}
