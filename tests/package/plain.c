/* C in the same target: what volute wants of a C++ compiler must not reach it. */
int plain_c(void);
int plain_c(void) { return 0; }
