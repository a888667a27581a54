/* export.c - what both kinds of files have in common. */
#include <string.h>

#include "internal.h"

#define SHORT_SECRET 6 /* shorter ones would turn up by chance in other words */

static int add_secret(struct export *e, const char *name, const char *value, struct sb_err *err)
{
	if (!*value)
		return 0;
	for (size_t i = 0; i < e->n_secrets; i++)
		if (!strcmp(e->secrets[i].value, value) && strcmp(name, "SPARKBUS_API_KEY") == 0)
			return 0;
	if (e->n_secrets == SECRETS_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %d secrets in the environment",
				SECRETS_MAX);
	e->secrets[e->n_secrets++] = (struct secret){ name, value };
	return 0;
}

static int find_secrets(struct export *e, struct sb_err *err)
{
	const Sparkbus__RankSpec *rank = e->rank;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rank->n_env; i++)
		if (rank->env[i]->secret)
			rc = add_secret(e, rank->env[i]->name, rank->env[i]->value, err);
	if (rc == 0 && e->plan->readiness)
		rc = add_secret(e, "SPARKBUS_API_KEY", e->plan->readiness->api_key, err);
	return rc;
}

int export_init(struct export *e, const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_err *err)
{
	static const Sparkbus__ContainerOptions none = SPARKBUS__CONTAINER_OPTIONS__INIT;

	if (rank >= plan->n_ranks)
		return sb_err_set(err, SB_E_INVALID, "rank %zu; the launch has %zu", rank,
				plan->n_ranks);
	*e = (struct export){ .plan = plan, .rank = plan->ranks[rank], .place = place };
	e->options = e->rank->options ? e->rank->options : &none;
	e->mapped = !strcmp(e->options->user, "auto") && *place->user;
	if (plan->n_pre_exec) {
		sb_err_set(err, SB_E_UNSUPPORTED, "%s: hooks and mods are run by the agents alone",
				plan->pre_exec[0]->label);
		return sb_err_hint(err, -SB_E_UNSUPPORTED,
				"launch it by sparkbus run, or make an image that has them");
	}
	return find_secrets(e, err);
}

/* The first secret in @text, and where; NULL when there is none. */
static const struct secret *next_secret(
		const struct export *e, const char *text, const char *whole, const char **ret_at)
{
	const struct secret *first = NULL;

	for (size_t i = 0; i < e->n_secrets; i++) {
		const struct secret *s = &e->secrets[i];
		const char *at = strlen(s->value) >= SHORT_SECRET ? strstr(text, s->value)
				: !strcmp(whole, s->value)        ? whole
								  : NULL;

		/* Of two at one place the longer one holds the other. */
		if (at &&
				(!first || at < *ret_at ||
						(at == *ret_at &&
								strlen(s->value) >
										strlen(first->value)))) {
			first = s;
			*ret_at = at;
		}
	}
	return first;
}

void export_text(const struct export *e, const char *text,
		void (*literal)(struct sb_strbuf *out, const char *text, size_t len),
		struct sb_strbuf *out)
{
	const char *whole = text, *at = NULL;
	const struct secret *secret;

	while ((secret = next_secret(e, text, whole, &at))) {
		literal(out, text, (size_t)(at - text));
		sb_strbuf_addf(out, "${%s}", secret->name);
		text = at + strlen(secret->value);
		whole = ""; /* a short one is the whole text or nothing */
	}
	literal(out, text, strlen(text));
}

const char *export_secret_of(const struct export *e, const Sparkbus__EnvVar *var)
{
	return var->secret && *var->value ? var->name : NULL;
}

void export_mount_source(
		const struct export *e, const Sparkbus__Mount *mount, struct sb_strbuf *out)
{
	static const char marker[] = "{hf_cache}";
	bool cache = !strncmp(mount->source, marker, strlen(marker));

	sb_strbuf_addf(out, "%s%s", cache ? e->place->hf_cache : "",
			mount->source + (cache ? strlen(marker) : 0));
}

const char *export_user(const struct export *e)
{
	if (e->mapped)
		return e->place->user;
	return strcmp(e->options->user, "auto") ? e->options->user : "";
}

bool export_gives_device(const struct export *e, const Sparkbus__Device *device)
{
	return !device->optional || e->plan->n_ranks > 1;
}

bool export_sets_home(const struct export *e)
{
	bool has = false;

	for (size_t i = 0; i < e->rank->n_env; i++)
		has = has || !strcmp(e->rank->env[i]->name, "HOME");
	return e->mapped && !has;
}
