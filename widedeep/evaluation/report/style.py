"""How a report looks, by light and by dark; text keeps a contrast of 4.5 to 1, marks one of 3 to 1 (WCAG 2.2, AA)."""

STYLE = """
:root{--candidate:#0b57c4;--champion:#a84300;--axis:#6b6b6b}
@media(prefers-color-scheme:dark){:root{--candidate:#7db4ff;--champion:#ffab70;--axis:#959ca8}}
body{margin:1em auto} h1{font-size:1.5em;line-height:1.25;margin:.4em 0} h2{font-size:1.15em;margin:0 0 .5em}
section{margin:2em 0} .faint,figcaption,small{color:var(--faint)}
.decision{display:inline-block;padding:.1em .6em;border-radius:4px;border:2px solid;font-weight:600}
.promote{color:var(--good)} .reject{color:var(--bad)} .hold{color:var(--unsure)} .none{color:var(--faint)}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26em),1fr));gap:2em 2.5em}
figure{margin:0} figcaption{margin-bottom:.3em}
svg{display:block;width:100%;max-width:560px;height:auto;font:11px system-ui,sans-serif}
svg text{fill:var(--ink)} .axis{stroke:var(--axis)} .grid{stroke:var(--rule);stroke-width:.7}
.ideal{stroke:var(--axis);stroke-dasharray:2 3} .margin{stroke:var(--bad);stroke-width:2} .move{stroke:var(--axis)}
circle.candidate{fill:var(--candidate)} rect.champion{fill:var(--champion)}
.reach.candidate,.curve.candidate,.steps.candidate{stroke:var(--candidate);fill:none;stroke-width:1.6}
.reach.champion,.curve.champion,.steps.champion{stroke:var(--champion);fill:none;stroke-width:1.6;stroke-dasharray:4 3}
.reach.champion{stroke-dasharray:none;opacity:.8} .reach.candidate{opacity:.8} .steps.candidate{fill:var(--tint)}
.key{margin:.2em 0} .key .candidate{color:var(--candidate)} .key .champion{color:var(--champion);margin-left:1em}
.wide{overflow-x:auto;max-width:52em} td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tbody th{font-weight:600} tbody th[colspan]{padding-top:1.2em;color:var(--faint)} tbody small{display:block;font-weight:400}
details{margin:.3em 0} summary{cursor:pointer;color:var(--link)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3em 1em;margin:0}
dd{margin:0} dt{color:var(--faint)} ul{padding-left:1.2em}
@media(max-width:30em){dl{display:block} dd{margin-bottom:.6em} td,th{padding:.3em .35em} body{font-size:14px;padding:0 .8em}}
"""
