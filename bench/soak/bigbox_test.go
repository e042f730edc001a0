package soak

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// bigbox runs the script and returns its output and exit code.
func bigbox(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	cmd := exec.CommandContext(t.Context(), bash, append([]string{"../bigbox"}, args...)...)
	if env != nil {
		cmd.Env = env
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestBigboxSaysWhatIsMissing(t *testing.T) {
	if out, code := bigbox(t, []string{"PATH=/nowhere"}, "true"); code != 125 || !strings.Contains(out, "apt-get install user-mode-linux") {
		t.Errorf("code %d, %s", code, out)
	}
	if out, code := bigbox(t, nil); code != 125 || !strings.Contains(out, "no command") {
		t.Errorf("code %d, %s", code, out)
	}
}

// TestBigboxRuns runs a command in the guest kernel, where there is one.
func TestBigboxRuns(t *testing.T) {
	if _, err := exec.LookPath("linux.uml"); err != nil || testing.Short() {
		t.Skip("no guest kernel: apt-get install user-mode-linux")
	}
	out, code := bigbox(t, nil, "-m", "512M", "-t", "120", "sh", "-c", "ulimit -n; echo 'a  b'; exit 7")
	if code != 7 || out != "2097152\na  b\n" {
		t.Errorf("code %d, %q", code, out)
	}
}
