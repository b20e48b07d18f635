/* The bootstraps of parked interpreters, as text. See park_python.py and park_node.js. */
#include "engines/sandbox/sandbox.h"

#include "engines/sandbox/park_node.h"
#include "engines/sandbox/park_python.h"

const char *sandbox_park_python(void)
{
	return (const char *)park_python;
}

const char *sandbox_park_node(void)
{
	return (const char *)park_node;
}
