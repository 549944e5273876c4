// Lengths, for people.

// 0:07, 12:34, 1:02:03
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function pieces(n) {
  return n === 1 ? "1 piece" : `${n} pieces`;
}
