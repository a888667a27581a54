/* operator.h - the operator of $SPARKBUS_HOME, for programs of tests that call agents themselves.
 */
#ifndef OPERATOR_H
#define OPERATOR_H

#include "sb_client.h"

/** A client with the operator's identity. Free with sb_client_free(). */
int operator_connect(struct sb_client **ret, struct sb_err *err);

#endif
