/** Reads Prometheus' text format, as far as tests need it. */

export function familiesOf(text: string): { name: string; help: string; type: string }[] {
  const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)];
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
  return helps.map(([, name = '', help = '']) => ({ name, help, type: types.get(name) ?? '' }));
}

/** Of one series, written as it stands there; NaN when it is missing. */
export function valueIn(text: string, series: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
}
