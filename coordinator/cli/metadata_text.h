/* metadata_text.h - values of a recipe's metadata as people read them. */
#ifndef SB_CLI_METADATA_TEXT_H
#define SB_CLI_METADATA_TEXT_H

#include "sb_strbuf.h"
#include "sb_yaml.h"

/** Append a key: "decode_tok_s" is "decode tok/s". */
void metadata_key(const char *key, struct sb_strbuf *out);
/** Append a value: {answer: 102, long_one: [39, 41]} is "answer 102, long one 39 to 41". A list of
 * two numbers is a range, any other has commas. What is nested too deep is "...". */
void metadata_value(const struct sb_yaml_node *node, struct sb_strbuf *out);

#endif
