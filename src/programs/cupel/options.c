/*
 * Flags from a table: parsing and help come from the same rows. "--name value" and "--name=value";
 * words and flags may be mixed; everything behind "--" is left alone.
 */
#include <stdio.h>

#include "kit/base/str.h"
#include "programs/cupel/cupel.h"

static const char default_exits[] = "0 done, 1 failed or refused, 2 wrong usage";

static int push(struct cupel *cupel, struct list *list, const char *word, struct err *err)
{
	if (list->count == CUPEL_LIST_MAX)
		return usage_set(cupel, err, "more than %d values", CUPEL_LIST_MAX);
	list->items[list->count++] = word;
	return 0;
}

static int set_flag(
	struct cupel *cupel, const struct flag *flag, const char *value, struct err *err)
{
	uint64_t number;
	switch (flag->kind) {
	case FLAG_SWITCH:
		if (value)
			return usage_set(cupel, err, "--%s takes no value", flag->name);
		*(bool *)flag->place = true;
		return 0;
	case FLAG_TEXT:
		*(const char **)flag->place = value;
		return 0;
	case FLAG_LIST:
		return push(cupel, flag->place, value, err);
	case FLAG_NUMBER:
		break;
	}
	if (str_parse_u64(value, flag->min, flag->max, &number, err) < 0) {
		err_wrap(err, "--%s", flag->name);
		cupel->is_usage = true;
		return err->category;
	}
	*(uint64_t *)flag->place = number;
	return 0;
}

static const struct flag *find_flag(
	const struct flag *flags, size_t count, const char *name, size_t size)
{
	for (size_t i = 0; i < count; i++)
		if (view_equal_string(view_of(name, size), flags[i].name))
			return &flags[i];
	return NULL;
}

struct parse {
	struct cupel *cupel;
	const struct flag *flags;
	size_t flag_count;
	struct flag common[2];
	char **next; /* argument to read */
};

static int parse_flag(struct parse *parse, const char *text, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	const char *name = text + 2, *equals = strchr(name, '=');
	size_t size = equals ? (size_t)(equals - name) : strlen(name);
	const char *value = equals ? equals + 1 : NULL;
	const struct flag *flag = find_flag(parse->flags, parse->flag_count, name, size);
	if (!flag)
		flag = find_flag(parse->common, ARRAY_SIZE(parse->common), name, size);
	if (!flag)
		return usage_set(parse->cupel, err, "unknown option '%s'",
			str_quote(view_string(text), quoted));
	if (flag->kind != FLAG_SWITCH && !value) {
		value = *parse->next;
		if (!value)
			return usage_set(parse->cupel, err, "--%s: expected %s behind it",
				flag->name, flag->value);
		parse->next++;
	}
	return set_flag(parse->cupel, flag, value, err);
}

static int parse_all(struct parse *parse, struct arguments *arguments, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	while (*parse->next) {
		const char *text = *parse->next++;
		if (str_equal(text, "--")) {
			arguments->has_rest = true;
			while (*parse->next)
				TRY(push(parse->cupel, &arguments->rest, *parse->next++, err));
		} else if (str_equal(text, "--help") || str_equal(text, "-h")) {
			parse->cupel->is_help = true;
		} else if (str_starts(text, "--")) {
			TRY(parse_flag(parse, text, err));
		} else if (text[0] == '-' && text[1]) {
			return usage_set(parse->cupel, err, "unknown option '%s'",
				str_quote(view_string(text), quoted));
		} else {
			TRY(push(parse->cupel, &arguments->words, text, err));
		}
	}
	return 0;
}

int options_parse(struct cupel *cupel, int argc, char **argv, const struct flag *flags,
	size_t count, struct arguments *ret_arguments, struct err *err)
{
	struct parse parse = {
		.cupel = cupel,
		.flags = flags,
		.flag_count = count,
		.common = {
			{ .name = "json", .kind = FLAG_SWITCH, .place = &cupel->is_json },
			{ .name = "state-dir", .value = "DIR", .kind = FLAG_TEXT,
				.place = &cupel->state_dir },
		},
		.next = argv,
	};
	(void)argc;
	*ret_arguments = (struct arguments){};
	int status = parse_all(&parse, ret_arguments, err);
	if (cupel->is_help) { /* whoever asks for help gets it, whatever else is wrong */
		options_help(cupel->command, flags, count);
		return 0;
	}
	return status;
}

int options_one(struct cupel *cupel, const struct arguments *arguments, const char *what,
	const char **ret_word, struct err *err)
{
	if (arguments->words.count != 1 || arguments->has_rest)
		return usage_set(cupel, err, "expected %s, got %zu words", what,
			arguments->words.count + arguments->rest.count);
	*ret_word = arguments->words.items[0];
	return 0;
}

int options_none(struct cupel *cupel, const struct arguments *arguments, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	if (arguments->words.count == 0 && arguments->rest.count == 0)
		return 0;
	const char *first = arguments->words.count ? arguments->words.items[0]
						   : arguments->rest.items[0];
	return usage_set(
		cupel, err, "unexpected argument '%s'", str_quote(view_string(first), quoted));
}

static void help_row(const char *name, const char *value, const char *help)
{
	char left[64];
	struct err ignored;
	(void)!str_format(left, sizeof(left), &ignored, "--%s%s%s", name, value ? " " : "",
		value ? value : "");
	printf("  %-27s %s\n", left, help);
}

/* A command that becomes another program passes everything on: options are that program's. */
void options_help(const struct command *command, const struct flag *flags, size_t count)
{
	printf("Usage: cupel %s%s%s%s%s\n\n%s.\n", command->name, command->verb ? " " : "",
		command->verb ? command->verb : "", *command->arguments ? " " : "",
		command->arguments, command->summary);
	if (command->about)
		printf("\n%s\n", command->about);
	if (!command->is_start) {
		printf("\nOptions:\n");
		for (size_t i = 0; i < count; i++)
			help_row(flags[i].name, flags[i].value, flags[i].help);
		help_row("json", NULL, "print one JSON document");
		help_row("state-dir", "DIR", "default: $CUPEL_STATE_DIR, else /var/lib/cupel");
		help_row("help", NULL, "print this");
	}
	printf("\nExample: %s\nExit codes: %s\n", command->example,
		command->exits ? command->exits : default_exits);
}
