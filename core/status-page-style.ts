/** Set in the reader's own faces: serif for what is read, tabular figures for what is compared, one accent. */
export const STATUS_PAGE_STYLE = `
:root{
  color-scheme:light dark;
  --paper:#fbfaf7;--ink:#1d1f21;--soft:#5c6166;--line:#e3e0d8;--accent:#0d6e64;--alarm:#a8321f;
  --serif:"Iowan Old Style","Palatino Linotype",Palatino,"Liberation Serif",Georgia,serif;
  --sans:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
}
@media (prefers-color-scheme:dark){:root{
  --paper:#15171a;--ink:#e9e7e2;--soft:#a3a7ab;--line:#2d3136;--accent:#5fcdbd;--alarm:#f19a88;
}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:auto}
body{
  margin:0 auto;max-width:46rem;padding:clamp(1.25rem,4vw,3rem) clamp(1rem,4vw,2rem) 3rem;
  background:var(--paper);color:var(--ink);
  font:400 1rem/1.5 var(--sans);font-variant-numeric:tabular-nums;overflow-wrap:anywhere;
}
p,h1,h2,dl,dd,ul{margin:0;padding:0}
a{color:var(--accent);text-underline-offset:.2em;text-decoration-thickness:.06em}
a:hover{text-decoration-thickness:.12em}
:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:2px}
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:.25rem 1.5rem}
.brand{font:600 1.0625rem/1.5 var(--sans);letter-spacing:-.01em;display:flex;align-items:center;gap:.55rem}
.mark{width:.8rem;height:.8rem;border:.2rem solid var(--accent);border-radius:50%}
.asof,.note,caption,footer{color:var(--soft);font-size:.875rem}
.asof a{margin-left:.5rem}
h1{margin-top:clamp(2.5rem,9vw,5rem);font:400 clamp(2.25rem,8vw,3.5rem)/1.08 var(--serif);letter-spacing:-.02em;text-wrap:balance}
.lead{margin-top:.75rem;font:400 clamp(1.0625rem,3vw,1.25rem)/1.45 var(--serif);color:var(--soft);text-wrap:pretty}
.facts{margin-top:clamp(2rem,6vw,3.25rem);display:grid;grid-template-columns:repeat(3,1fr);border-top:1px solid var(--line)}
.facts div{padding:1rem 1.25rem 1rem 0;border-bottom:1px solid var(--line)}
dt{font-size:.875rem;color:var(--soft)}
.facts dd:nth-of-type(1){margin-top:.3rem;font:400 2rem/1.2 var(--serif);letter-spacing:-.01em}
section{margin-top:clamp(2.25rem,6vw,3.25rem)}
h2{font:600 1rem/1.5 var(--sans);letter-spacing:-.005em}
.rows{list-style:none;margin-top:.5rem;border-top:1px solid var(--line)}
.rows li{display:grid;grid-template-columns:6rem 1fr auto;gap:0 1rem;align-items:baseline;padding:.7rem 0;border-bottom:1px solid var(--line)}
.name{font-weight:500}
code{font:.8125rem/1.5 ui-monospace,"Liberation Mono",Menlo,monospace}
.state::before,.outcome::before{content:"";display:inline-block;width:.5rem;height:.5rem;margin-right:.5rem;border-radius:50%;border:.125rem solid currentColor;vertical-align:.05em}
.good::before,.done::before{background:currentColor}
.rows .state,.outcome{font-size:.875rem}
.good::before,.done::before{color:var(--accent)}
.bad,.failed{color:var(--alarm)}
.failed::before{border-radius:0;transform:rotate(45deg) scale(.85)}
.stopped,.undone{color:var(--soft)}
.empty{margin-top:.5rem;padding:.9rem 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);font:italic 400 1.0625rem/1.5 var(--serif);color:var(--soft)}
table{width:100%;border-collapse:collapse;table-layout:fixed}
caption{text-align:left;padding-bottom:.6rem}
th,td{padding:.7rem 1rem .7rem 0;text-align:left;vertical-align:top;font-weight:400;border-bottom:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0;text-align:right}
thead th{padding-block:.35rem;font-size:.8125rem;color:var(--soft);border-top:1px solid var(--line)}
thead th:nth-child(1){width:54%}
thead th:nth-child(3){width:18%}
th .note,.pull{display:block}
.pull,.time,tbody td{font-size:.875rem;line-height:1.7}
.time{color:var(--soft)}
footer{margin-top:clamp(2.5rem,7vw,4rem)}
@media (max-width:34rem){
  .facts{grid-template-columns:repeat(2,1fr)}
  .rows li{grid-template-columns:1fr auto}
  .rows .note{grid-column:1/-1;grid-row:2}
  th,td{padding-right:.75rem}
  thead th:nth-child(1){width:44%}
  thead th:nth-child(3){width:24%}
}
@media (prefers-reduced-motion:no-preference){
  a{transition:text-decoration-thickness .12s}
}
@media (prefers-contrast:more){:root{--soft:var(--ink);--line:currentColor}}
`;
