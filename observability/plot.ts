import { createRequire } from 'node:module';
import type { Spec } from 'vega';
import type { Point } from './detectors/detector.ts';

/** A finding as a picture. Times in milliseconds since the epoch, shown in UTC. */
export interface PlotOptions {
  title: string;
  /** Below the title. */
  subtitle?: string | undefined;
  /** "s", "req/s", "bytes", "ratio", "cores": what the axis counts. */
  unit: string;
  points: readonly Point[];
  /** Where the series was expected, oldest first; a side where nothing is an anomaly is null. */
  band: readonly { t: number; low: number | null; high: number | null }[];
  /** What was anomalous; without `to` it still is. */
  window?: { from: number; to?: number | undefined } | undefined;
  thresholds?: readonly { value: number; label: string }[] | undefined;
  /** Milliseconds between measurements: a longer gap is not drawn over. */
  stepMs: number;
}

const SIZE = { width: 800, height: 320 };
const SCALE = 2;
const FONT = 'Inter';
const INK = '#1f2328';
const QUIET = '#656d76';
const BLUE = '#0969da';
const RED = '#cf222e';

/**
 * A PNG of 1600 × 640 pixels. Vega draws it as SVG and resvg turns that into pixels, with a font of its own, so that
 * neither a browser nor the machine's fonts matter. Both are loaded with the first plot.
 */
export async function plot(options: PlotOptions): Promise<Uint8Array> {
  const [{ parse, View }, { Resvg }] = await Promise.all([import('vega'), import('@resvg/resvg-js')]);
  const view = new View(parse(specOf(options)), { renderer: 'none' });
  try {
    const svg = (await view.toSVG()).replace(NOT_XML, ' ');
    const image = new Resvg(svg, {
      fitTo: { mode: 'zoom', value: SCALE },
      font: { loadSystemFonts: false, fontFiles: fontFiles(), defaultFontFamily: FONT },
    });
    return image.render().asPng();
  } finally {
    view.finalize();
  }
}

const fontFiles = (): string[] => {
  const { resolve } = createRequire(import.meta.url);
  return ['400Regular/Inter_400Regular.ttf', '600SemiBold/Inter_600SemiBold.ttf'].map((file) =>
    resolve(`@expo-google-fonts/inter/${file}`),
  );
};

/** What XML has no place for, and pictures no use: a name may hold it all the same. */
const NOT_XML = /[\p{Cc}\p{Cs}\p{Cn}]/gu;

/** https://vega.github.io/vega/docs/specification/ */
function specOf({ points, band, window, thresholds = [], ...options }: PlotOptions): Spec {
  const times = [...points, ...band].map(({ t }) => t);
  const [start, end] = [least(times), greatest(times)];
  const values = points.map(({ v }) => v);
  const edges = band.flatMap(({ low, high }) => [low, high].filter((edge) => edge !== null));
  // A band far wider than what was measured is cut, rather than the series pressed flat.
  const [bottom, top] = [least(values), greatest(values)];
  const room = Math.max(top - bottom, Math.abs(top) / 4) * 2 || 1;
  const shown = [...values, ...thresholds.map(({ value }) => value), ...edges].filter(
    (v) => v >= bottom - room && v <= top + room,
  );
  const floor = bottom >= 0 ? 0 : least(shown);
  const ceiling = greatest(shown) === floor ? floor + 1 : greatest(shown);
  const { factor, unit, format } = scaleOf(options.unit, ceiling);
  const scaled = (v: number) => v / factor;
  const anomalous = window && {
    from: Math.max(start, window.from),
    to: Math.min(end, window.to ?? end),
    open: window.to === undefined,
  };

  return {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    ...SIZE,
    autosize: { type: 'fit', contains: 'padding' },
    padding: { left: 16, right: 20, top: 14, bottom: 12 },
    background: '#ffffff',
    title: {
      text: options.title,
      ...(options.subtitle === undefined ? {} : { subtitle: options.subtitle }),
      anchor: 'start',
      frame: 'group',
      font: FONT,
      fontSize: 16,
      fontWeight: 600,
      color: INK,
      subtitleFont: FONT,
      subtitleFontSize: 12,
      subtitleColor: QUIET,
      subtitlePadding: 4,
      offset: 14,
      limit: 740,
    },
    data: [
      { name: 'points', values: withGaps(points, options.stepMs, scaled) },
      {
        name: 'band',
        values: band.map(({ t, low, high }) => ({
          t,
          low: scaled(Math.max(low ?? floor, floor)),
          high: scaled(Math.min(high ?? ceiling, ceiling)),
        })),
      },
      { name: 'edges', values: edgesOf(band, floor, ceiling, scaled) },
      { name: 'outside', values: anomalous ? outsideOf(points, band, anomalous, scaled) : [] },
      { name: 'window', values: anomalous ? [anomalous] : [] },
      { name: 'thresholds', values: thresholds.map(({ value, label }) => ({ v: scaled(value), label })) },
    ],
    scales: [
      { name: 'x', type: 'utc', domain: [start, end], range: 'width' },
      { name: 'y', domain: [scaled(floor), scaled(ceiling)], nice: 5, zero: false, range: 'height' },
    ],
    axes: [
      {
        scale: 'x',
        orient: 'bottom',
        title: `UTC, ${dayOf(start, end)}`,
        tickCount: 8,
        format: end - start < 600_000 ? '%H:%M:%S' : '%H:%M',
        formatType: 'utc',
        labelOverlap: true,
        grid: false,
        domainColor: '#d0d7de',
        tickColor: '#d0d7de',
        ...AXIS_TEXT,
      },
      {
        scale: 'y',
        orient: 'left',
        title: unit,
        format,
        tickCount: 5,
        grid: true,
        gridColor: '#eaeef2',
        domain: false,
        ticks: false,
        labelPadding: 8,
        ...AXIS_TEXT,
      },
    ],
    marks: [
      {
        type: 'rect',
        from: { data: 'window' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'from' },
            x2: { scale: 'x', field: 'to' },
            y: { value: 0 },
            y2: { signal: 'height' },
            fill: { value: RED },
            fillOpacity: { value: 0.09 },
          },
        },
      },
      {
        type: 'area',
        from: { data: 'band' },
        clip: true,
        encode: {
          enter: {
            x: { scale: 'x', field: 't' },
            y: { scale: 'y', field: 'high' },
            y2: { scale: 'y', field: 'low' },
            fill: { value: BLUE },
            fillOpacity: { value: 0.13 },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'edge', data: 'edges', groupby: 'side' } },
        marks: [line('edge', BLUE, 1, { strokeOpacity: { value: 0.45 } })],
      },
      {
        type: 'rule',
        from: { data: 'thresholds' },
        encode: {
          enter: {
            x: { value: 0 },
            x2: { signal: 'width' },
            y: { scale: 'y', field: 'v' },
            stroke: { value: QUIET },
            strokeDash: { value: [5, 4] },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'thresholds' },
        encode: {
          enter: {
            x: { value: 6 },
            y: { scale: 'y', field: 'v', offset: -6 },
            text: { field: 'label' },
            ...LABEL_TEXT,
            fill: { value: QUIET },
          },
        },
      },
      {
        type: 'rule',
        from: { data: 'window' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'from' },
            y: { value: 0 },
            y2: { signal: 'height' },
            stroke: { value: RED },
            strokeDash: { value: [3, 3] },
          },
        },
      },
      line('points', INK, 1.6, { defined: { signal: 'isValid(datum.v)' } }),
      {
        type: 'symbol',
        from: { data: 'outside' },
        clip: true,
        encode: {
          enter: {
            x: { scale: 'x', field: 't' },
            y: { scale: 'y', field: 'v' },
            size: { value: 16 },
            fill: { value: RED },
          },
        },
      },
    ],
    legends: [],
  };
}

const AXIS_TEXT = {
  labelFont: FONT,
  labelFontSize: 11,
  labelColor: QUIET,
  titleFont: FONT,
  titleFontSize: 11,
  titleFontWeight: 'normal' as const,
  titleColor: QUIET,
  titlePadding: 8,
};
const LABEL_TEXT = { font: { value: FONT }, fontSize: { value: 11 } };

function line(data: string, color: string, width: number, extra: object): NonNullable<Spec['marks']>[number] {
  return {
    type: 'line',
    from: { data },
    encode: {
      enter: {
        x: { scale: 'x', field: 't' },
        y: { scale: 'y', field: 'v' },
        stroke: { value: color },
        strokeWidth: { value: width },
        strokeJoin: { value: 'round' },
        ...extra,
      },
    },
  };
}

/** A point without a value where measurements are missing: there the line breaks. */
const withGaps = (points: readonly Point[], stepMs: number, scaled: (v: number) => number) =>
  points.flatMap(({ t, v }, i) => {
    const before = points[i - 1];
    const gap = before && t - before.t > 1.5 * stepMs ? [{ t: before.t + stepMs, v: null }] : [];
    return [...gap, { t, v: scaled(v) }];
  });

/** The edges that are there and in sight. */
const edgesOf = (
  band: PlotOptions['band'],
  floor: number,
  ceiling: number,
  scaled: (v: number) => number,
): { side: string; t: number; v: number }[] =>
  (['low', 'high'] as const).flatMap((side) =>
    band.flatMap(({ t, [side]: v }) =>
      v !== null && v > floor && v < ceiling * 1.001 ? [{ side, t, v: scaled(v) }] : [],
    ),
  );

const outsideOf = (
  points: readonly Point[],
  band: PlotOptions['band'],
  { from, to }: { from: number; to: number },
  scaled: (v: number) => number,
) => {
  const bands = new Map(band.map((one) => [one.t, one]));
  return points.flatMap(({ t, v }) => {
    const { low = null, high = null } = bands.get(t) ?? {};
    const outside = (high !== null && v > high) || (low !== null && v < low);
    return outside && t >= from && t <= to ? [{ t, v: scaled(v) }] : [];
  });
};

/** A unit in which numbers are short. */
function scaleOf(unit: string, most: number): { factor: number; unit: string; format: string } {
  if (unit === 'bytes') return { factor: 2 ** 20, unit: 'MiB', format: '~f' };
  if (unit === 's' && most < 1) return { factor: 0.001, unit: 'ms', format: '~f' };
  if (unit === 'ratio') return { factor: 1, unit: 'share', format: '.0%' };
  return { factor: 1, unit, format: most >= 10_000 ? '~s' : '~f' };
}

function dayOf(start: number, end: number): string {
  const [first, last] = [start, end].map((t) => new Date(t).toISOString().slice(0, 10));
  return first === last ? `${first}` : `${first} to ${last}`;
}

const least = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
const greatest = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
