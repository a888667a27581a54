/* Credentials for an image registry, from the file that `docker login` writes. */
#include <string.h>
#include <openssl/evp.h>

#include "cli.h"

#define DOCKER_HUB     "docker.io"
#define DOCKER_HUB_KEY "https://index.docker.io/v1/"
#define AUTH_MAX_BYTES 16384

/* "ghcr.io" of "ghcr.io/org/image:tag"; Docker Hub when the first part is no host. */
static int registry_of(const char *image, char **ret, struct sb_err *err)
{
	size_t len = strcspn(image, "/");
	bool is_host = image[len] &&
			(memchr(image, '.', len) || memchr(image, ':', len) ||
					(len == 9 && !strncmp(image, "localhost", 9)));
	char *host = is_host ? strndup(image, len) : strdup(DOCKER_HUB);

	if (!host)
		return sb_err_nomem(err);
	*ret = host;
	return 0;
}

/* Keys are hosts, or URLs of older versions: compare without scheme and path. */
static bool key_is(const char *key, const char *host)
{
	const char *scheme = strstr(key, "://");
	size_t len = strlen(host);

	if (!strcmp(host, DOCKER_HUB) && !strcmp(key, DOCKER_HUB_KEY))
		return true;
	if (scheme)
		key = scheme + 3;
	return !strncmp(key, host, len) && (!key[len] || key[len] == '/');
}

static const json_t *find_key(const json_t *map, const char *host)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)map, key, value)
		if (key_is(key, host))
			return value;
	return NULL;
}

static int check_helpers(const json_t *root, const char *host, struct sb_err *err)
{
	const json_t *store = json_object_get(root, "credsStore");

	if (!find_key(json_object_get(root, "credHelpers"), host) &&
			!(json_is_string(store) && *json_string_value(store)))
		return 0;
	sb_err_set(err, SB_E_UNSUPPORTED,
			"the login for %s is kept by a credential helper, which is not supported",
			host);
	return sb_err_hint(err, -SB_E_UNSUPPORTED,
			"if the image is not public, pull it on the node, or log in without the "
			"helper");
}

/* base64("user:password") to a JSON object with both. */
static json_t *split_auth(const char *auth, const char *host)
{
	size_t len = strlen(auth);
	unsigned char text[AUTH_MAX_BYTES];
	json_t *json = NULL;
	char *colon;
	int n;

	if (!len || len % 4 || len / 4 * 3 >= sizeof(text))
		return NULL;
	n = EVP_DecodeBlock(text, (const unsigned char *)auth, (int)len);
	if (n < 0)
		return NULL;
	/* EVP counts the padding as bytes. */
	n -= auth[len - 1] == '=';
	n -= auth[len - 2] == '=';
	text[n] = '\0';
	colon = strchr((char *)text, ':');
	if (colon) {
		*colon = '\0';
		json = json_pack("{s:s, s:s, s:s}", "username", (char *)text, "password", colon + 1,
				"serveraddress", host);
	}
	explicit_bzero(text, sizeof(text));
	return json;
}

/* Base64url, as the engine wants it in X-Registry-Auth. */
static int encode(const json_t *json, char **ret, struct sb_err *err)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	char *out = text ? malloc(len / 3 * 4 + 5) : NULL;

	if (!out) {
		free(text);
		return sb_err_nomem(err);
	}
	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
	explicit_bzero(text, len);
	free(text);
	for (char *p = out; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	*ret = out;
	return 0;
}

int registry_auth(const char *config_json, const char *image, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *host = NULL;
	json_t *root = json_loads(config_json, 0, NULL), *auth = NULL;
	const json_t *entry;
	const char *token, *pair;
	int rc = registry_of(image, &host, err);

	if (!rc && !root)
		rc = sb_err_set(err, SB_E_INVALID, "not JSON");
	if (!rc) {
		entry = find_key(json_object_get(root, "auths"), host);
		token = json_string_value(json_object_get(entry, "identitytoken"));
		pair = json_string_value(json_object_get(entry, "auth"));
		if (!sb_empty(token))
			auth = json_pack("{s:s, s:s}", "identitytoken", token, "serveraddress",
					host);
		else if (!sb_empty(pair))
			auth = split_auth(pair, host);
		if (auth)
			rc = encode(auth, ret, err);
		else
			rc = check_helpers(root, host, err);
		if (!rc && !auth) {
			*ret = strdup("");
			rc = *ret ? 0 : sb_err_nomem(err);
		}
	}
	json_decref(auth);
	json_decref(root);
	return rc;
}
