// Writes lengths, sizes and dates for people.

// 0:07, 12:34, 1:02:03
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// 512 bytes, 3.1 MB
export function sizeOf(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at++) bytes /= 1024;
  return `${at ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

// Writes a date as the browser's language does.
export function dateOf(date) {
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
