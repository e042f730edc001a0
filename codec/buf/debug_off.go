//go:build !epoxydebug

package buf

const debug = false
