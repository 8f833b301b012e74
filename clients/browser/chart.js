/**
 * The chart of one symbol's bars, on TradingView's Lightweight Charts. What is between two frames is drawn in one update, of the
 * bars that changed; an interval without a trade stays empty, and one in which trades are missing has a band behind it.
 */
import {
  CandlestickSeries,
  CrosshairMode,
  HistogramSeries,
  LineSeries,
  LineStyle,
  TickMarkType,
  createChart,
} from "./vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { formatCompact, formatTime } from "./format.js";
import { translucent } from "./palette.js";

/** Bars in the chart at most; what is older is scrolled out for good. */
const MOST_BARS = 1_800;

/** Bars shown at first, as wide as they are then. */
const BAR_SPACING = 7;

/** Room behind the newest bar, in bars. */
const RIGHT_OFFSET = 4;

const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export class PriceChart {
  #chart;
  #bars = null;
  #prices;
  #volumes;
  #holes;
  #asLine = false;
  #drawnTo = null; // the newest interval in the chart, null for none
  #drawn = 0;
  #placed = false;
  #palette;
  #decimals = 2;
  #format = String;
  #onPoint;

  /**
   * @param options.container  an element with a size
   * @param options.palette    see palette.js
   * @param options.onPoint    (bar) => …: what the crosshair is at, null when it has left
   */
  constructor({ container, palette, onPoint }) {
    this.#palette = palette;
    this.#onPoint = onPoint;
    this.#chart = createChart(container, {
      autoSize: true,
      // The mark is a style sheet of its own, which the page's policy forbids; the page names the library in its footer.
      layout: { attributionLogo: false, fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.24 } },
      timeScale: {
        borderVisible: false,
        timeVisible: true,
        secondsVisible: true,
        barSpacing: BAR_SPACING,
        rightOffset: RIGHT_OFFSET,
        tickMarkFormatter: (time, type) =>
          (type === TickMarkType.TimeWithSeconds ? formatTime : type === TickMarkType.Time ? minutes.format : day.format)(time * 1_000),
      },
      localization: { timeFormatter: (time) => formatTime(time * 1_000), priceFormatter: (price) => this.#format(price) },
    });
    this.#holes = this.#chart.addSeries(HistogramSeries, { priceScaleId: "holes", ...quietly });
    this.#chart.priceScale("holes").applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
    this.#volumes = this.#chart.addSeries(HistogramSeries, { priceScaleId: "volume", ...quietly });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 }, visible: false });
    this.#addPrices();
    this.setPalette(palette);
    this.#chart.subscribeCrosshairMove(({ time, point }) => {
      this.#onPoint(time === undefined || point === undefined || this.#bars === null ? null : this.#bars.at(time));
    });
  }

  /** Show these bars in place of any others; null for none. */
  show(bars) {
    this.#bars = bars;
    this.#placed = false;
    this.#drawAll();
    this.#place();
  }

  /** Draw what has changed. */
  draw() {
    const from_s = this.#bars.takeChangedFrom();
    if (from_s < this.#drawnTo || this.#drawnTo === null || this.#drawn > 1.5 * MOST_BARS) {
      if (from_s !== Infinity) {
        this.#drawAll();
      }
    } else if (from_s !== Infinity) {
      // The newest bar is drawn again; behind it come further ones, be they empty.
      for (const bar of this.#bars.list(Math.min(from_s, this.#drawnTo + this.#bars.interval_s), MOST_BARS)) {
        if (bar.time > this.#drawnTo) {
          this.#drawn += 1;
          this.#drawnTo = bar.time;
        }
        this.#prices.update(this.#asLine ? linePoint(bar) : candle(bar));
        this.#volumes.update(this.#volume(bar));
        this.#holes.update(this.#hole(bar));
      }
    }
    this.#place();
  }

  /** Draw prices as a line, or as candles. */
  setLine(asLine) {
    if (asLine !== this.#asLine) {
      this.#asLine = asLine;
      this.#chart.removeSeries(this.#prices);
      this.#addPrices();
      this.setPalette(this.#palette);
      this.#drawAll();
    }
  }

  /** Show prices with so many decimals. */
  setDecimals(decimals, format) {
    this.#format = format;
    if (decimals !== this.#decimals) {
      this.#decimals = decimals;
      this.#prices.applyOptions({ priceFormat: this.#priceFormat() });
    }
  }

  setPalette(palette) {
    this.#palette = palette;
    this.#chart.applyOptions({
      layout: { background: { color: palette.surface }, textColor: palette.muted },
      grid: { vertLines: { color: palette["line-soft"] }, horzLines: { color: palette["line-soft"] } },
      crosshair: {
        vertLine: { color: palette.muted, style: LineStyle.Dashed, labelBackgroundColor: palette.muted },
        horzLine: { color: palette.muted, style: LineStyle.Dashed, labelBackgroundColor: palette.muted },
      },
    });
    this.#prices.applyOptions(
      this.#asLine
        ? { color: palette.accent }
        : {
            upColor: palette.up,
            wickUpColor: palette.up,
            borderVisible: false,
            downColor: palette.down,
            wickDownColor: palette.down,
          },
    );
    this.#drawAll();
  }

  /** Go to where the newest bar is. */
  scrollToNow() {
    this.#chart.timeScale().scrollToRealTime();
  }

  #addPrices() {
    const options = { priceFormat: this.#priceFormat(), lineWidth: 2, priceLineStyle: LineStyle.Dotted };
    this.#prices = this.#chart.addSeries(this.#asLine ? LineSeries : CandlestickSeries, options);
  }

  #priceFormat() {
    return { type: "custom", minMove: 10 ** -this.#decimals, formatter: (price) => this.#format(price) };
  }

  #drawAll() {
    const bars = this.#bars?.list(-Infinity, MOST_BARS) ?? [];
    this.#bars?.takeChangedFrom();
    this.#prices.setData(bars.map(this.#asLine ? linePoint : candle));
    this.#volumes.setData(bars.map((bar) => this.#volume(bar)));
    this.#holes.setData(bars.map((bar) => this.#hole(bar)));
    this.#drawn = bars.length;
    this.#drawnTo = bars.at(-1)?.time ?? null;
  }

  /** Show the newest bars of what has just been chosen, as soon as there are some and room for them. */
  #place() {
    const scale = this.#chart.timeScale();
    if (!this.#placed && this.#drawn > 0 && scale.width() > 0) {
      this.#placed = true;
      scale.applyOptions({ barSpacing: BAR_SPACING });
      scale.scrollToPosition(RIGHT_OFFSET, false);
    }
  }

  #volume(bar) {
    if (bar.open === undefined) {
      return { time: bar.time };
    }
    const color = translucent(bar.close >= bar.open ? this.#palette.up : this.#palette.down, 0.35);
    return { time: bar.time, value: bar.volume, color };
  }

  #hole(bar) {
    const torn = bar.open !== undefined && bar.missing !== 0;
    return torn ? { time: bar.time, value: 1, color: translucent(this.#palette.warn, 0.28) } : { time: bar.time };
  }
}

/** Of a series that is a backdrop: no label, no line at its last value. */
const quietly = { lastValueVisible: false, priceLineVisible: false, priceFormat: { type: "custom", minMove: 1, formatter: formatCompact } };

function candle({ time, open, high, low, close }) {
  return open === undefined ? { time } : { time, open, high, low, close };
}

function linePoint({ time, open, close }) {
  return open === undefined ? { time } : { time, value: close };
}
