// @ts-check
/**
 * Many points in a picture: finding the nearest of a hundred thousand within a frame, and drawing
 * paths on a canvas where as many elements would be slow.
 *
 * Knows places on a screen, and no view.
 */

/** From so many points on, a picture is drawn on a canvas. */
export const MANY = 400;

/** Points in cells of a grid, so that only those near a place are looked at. */
export class PointGrid {
  /**
   * @param {Float32Array | Float64Array} xs @param {Float32Array | Float64Array} ys
   * @param {number} [cell] the side of a cell
   */
  constructor(xs, ys, cell = 12) {
    this.xs = xs;
    this.ys = ys;
    this.cell = cell;
    const [low, high] = [bounds(xs), bounds(ys)];
    this.left = low[0];
    this.top = high[0];
    this.across = Math.floor((low[1] - low[0]) / cell) + 1;
    this.down = Math.floor((high[1] - high[0]) / cell) + 1;
    // Counted, then put in order: no cell has a list of its own.
    this.starts = new Int32Array(this.across * this.down + 1);
    const homes = new Int32Array(xs.length);
    for (let point = 0; point < xs.length; point += 1) {
      homes[point] = this.column(xs[point]) + this.across * this.row(ys[point]);
      this.starts[homes[point] + 1] += 1;
    }
    for (let home = 1; home < this.starts.length; home += 1) this.starts[home] += this.starts[home - 1];
    const filled = this.starts.slice();
    this.order = new Int32Array(xs.length);
    for (let point = 0; point < xs.length; point += 1) this.order[filled[homes[point]]++] = point;
  }

  /** @param {number} x */
  column(x) {
    return Math.min(this.across - 1, Math.max(0, Math.floor((x - this.left) / this.cell)));
  }

  /** @param {number} y */
  row(y) {
    return Math.min(this.down - 1, Math.max(0, Math.floor((y - this.top) / this.cell)));
  }

  /**
   * The nearest point within a distance, or -1. Of points that lie alike the first is taken.
   * @param {number} x @param {number} y @param {number} within
   * @param {(point: number) => number} [weight] what its squared distance is multiplied by
   */
  nearest(x, y, within, weight = () => 1) {
    let best = within * within;
    let found = -1;
    for (let row = this.row(y - within); row <= this.row(y + within); row += 1) {
      for (let column = this.column(x - within); column <= this.column(x + within); column += 1) {
        const home = column + this.across * row;
        for (let place = this.starts[home]; place < this.starts[home + 1]; place += 1) {
          const point = this.order[place];
          const [dx, dy] = [this.xs[point] - x, this.ys[point] - y];
          const far = (dx * dx + dy * dy) * weight(point);
          if (far < best || (far === best && found > point)) {
            best = far;
            found = point;
          }
        }
      }
    }
    return found;
  }
}

/** @param {ArrayLike<number>} values */
function bounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let place = 0; place < values.length; place += 1) {
    if (values[place] < low) low = values[place];
    if (values[place] > high) high = values[place];
  }
  return Number.isFinite(low) ? [low, high] : [0, 0];
}

/**
 * A canvas of this size in the page's own units, sharp on any screen, wiped clean.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height
 */
export function wiped(canvas, width, height) {
  const sharp = Math.min(2, devicePixelRatio || 1);
  const [wide, tall] = [Math.round(width * sharp), Math.round(height * sharp)];
  if (canvas.width !== wide || canvas.height !== tall) {
    [canvas.width, canvas.height] = [wide, tall];
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  brush.setTransform(sharp, 0, 0, sharp, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

/**
 * One path, and its points as dots.
 * @param {CanvasRenderingContext2D} brush @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys
 * @param {number} first @param {number} end @param {{line?: number, dots?: number, size?: number}} [how] how strong, and a dot's side
 */
export function drawPath(brush, xs, ys, first, end, { line = 0.28, dots = 0.45, size = 2.6 } = {}) {
  if (line) {
    brush.globalAlpha = line;
    brush.beginPath();
    brush.moveTo(xs[first], ys[first]);
    for (let point = first + 1; point < end; point += 1) brush.lineTo(xs[point], ys[point]);
    brush.stroke();
  }
  if (dots) {
    brush.globalAlpha = dots;
    for (let point = first; point < end; point += 1) brush.fillRect(xs[point] - size / 2, ys[point] - size / 2, size, size);
  }
}
