package compare

import (
	"fmt"
	"html"
	"strings"
)

// Geometry of a chart, in pixels.
const (
	chartWidth = 720
	nameWidth  = 150 // names of proxies, right-aligned
	textWidth  = 150 // numbers behind the bars
	barHeight  = 16
	barStep    = 22
	titleStep  = 34 // above a figure's bars
	headHeight = 30
)

// style has colours for pages of both kinds.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.head{font-size:16px;font-weight:600}.title{font-weight:600}.n{text-anchor:end}
.bar{fill:#8c959f}.ours{fill:#0969da}.range{stroke:#1f2328;stroke-width:1.5;fill:none}
@media (prefers-color-scheme: dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}.range{stroke:#e6edf3}}
</style>`

// Chart draws the figures of a case as SVG: a bar for each median, a line from the least to the greatest. Less is better.
func Chart(o Outcome) string {
	var b strings.Builder
	y := headHeight
	for _, f := range o.Figures {
		if len(f.By) > 0 {
			y = figure(&b, f, y)
		}
	}
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n%s\n"+
		"<text class=\"head\" x=\"8\" y=\"20\">%s: less is better</text>\n%s</svg>\n",
		chartWidth, y+8, html.EscapeString(o.Title), style, html.EscapeString(o.Title), b.String())
}

// figure draws one figure from y on, and returns where it ends.
func figure(b *strings.Builder, f Figure, y int) int {
	most := 0.0
	for _, s := range f.By {
		most = max(most, s.Max)
	}
	scale := 0.0
	if most > 0 {
		scale = (chartWidth - nameWidth - textWidth) / most
	}
	at := func(v float64) float64 { return nameWidth + max(0, v)*scale }
	fmt.Fprintf(b, "<text class=\"title\" x=\"8\" y=\"%d\">%s</text>\n", y+titleStep-14, html.EscapeString(f.Label()))
	y += titleStep - 6
	for _, s := range f.By {
		class := "bar"
		if strings.HasPrefix(s.Proxy, "epoxy") {
			class = "bar ours"
		}
		middle := y + barHeight/2
		fmt.Fprintf(b, "<text class=\"n\" x=\"%d\" y=\"%d\">%s</text>", nameWidth-8, y+13, html.EscapeString(s.Proxy))
		fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", class, nameWidth, y, at(s.Median)-nameWidth, barHeight)
		fmt.Fprintf(b, "<path class=\"range\" d=\"M%.1f %dH%.1fM%.1f %dv6M%.1f %dv6\"/>", at(s.Min), middle, at(s.Max), at(s.Min), middle-3, at(s.Max), middle-3)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", at(s.Max)+8, y+13, Number(s.Median))
		y += barStep
	}
	return y
}
