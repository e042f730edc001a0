//go:build epoxydebug

package buf

const debug = true
