#include "serve/draw/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace upwell::serve::draw {
namespace {

/// One letter: its width, and strokes separated by spaces. A point is two characters, x in 0..9 and
/// y in c b a 0..9 (-3..9): base line 0, small letters up to 6, capitals up to 9. "(" before a
/// stroke rounds its corners, ")" after it closes it.
struct Glyph {
  char32_t code;
  double width;
  const char* strokes;
};

constexpr std::array kGlyphs = std::to_array<Glyph>({
    {' ', 2, ""},
    {'!', 0, "0903 0000"},
    {'"', 2, "0907 2927"},
    {'#', 6, "1029 4059 0666 0363"},
    {'$', 5, "(580805555101 292a"},
    {'%', 6, "0069 (06262909) (40606343)"},
    {'&', 6, "(601619494602004063"},
    {'\'', 0, "0907"},
    {'(', 2, "(2907012a"},
    {')', 2, "(0927210a"},
    {'*', 4, "2824 0745 0547"},
    {'+', 6, "3137 0464"},
    {',', 1, "100b"},
    {'-', 4, "0444"},
    {'.', 0, "0000"},
    {'/', 4, "0a49"},
    {'0', 5, "(00505909)"},
    {'1', 5, "173930"},
    {'2', 5, "(0709595600 0050"},
    {'3', 5, "(0809595525 (2555500001"},
    {'4', 5, "490353 4940"},
    {'5', 5, "490905 (0555500001"},
    {'6', 5, "(58590900505505"},
    {'7', 5, "095920"},
    {'8', 5, "(05555909) (05555000)"},
    {'9', 5, "(01005059090454"},
    {':', 0, "0000 0505"},
    {';', 1, "100b 1515"},
    {'<', 5, "570451"},
    {'=', 5, "0353 0555"},
    {'>', 5, "075401"},
    {'?', 4, "(070949462523 2020"},
    {'@', 7, "(72700009797353 (56262353)"},
    {'A', 6, "003960 1353"},
    {'B', 6, "0009 (09595505 (05656000"},
    {'C', 6, "(676909006062"},
    {'D', 6, "0009 (09696000"},
    {'E', 5, "59090050 0545"},
    {'F', 5, "590900 0545"},
    {'G', 6, "(676909006064 6434"},
    {'H', 6, "0009 6069 0565"},
    {'I', 0, "0009"},
    {'J', 4, "(49400002"},
    {'K', 6, "0900 6903 2560"},
    {'L', 5, "090050"},
    {'M', 7, "0009337970"},
    {'N', 6, "00096069"},
    {'O', 6, "(00606909)"},
    {'P', 6, "0009 (09696404"},
    {'Q', 6, "(00606909) 437a"},
    {'R', 6, "0009 (09696404 3460"},
    {'S', 6, "(6769090565600002"},
    {'T', 6, "0969 3930"},
    {'U', 6, "(09006069"},
    {'V', 6, "093069"},
    {'W', 8, "0920476089"},
    {'X', 6, "0069 0960"},
    {'Y', 6, "093469 3430"},
    {'Z', 6, "09690060"},
    {'[', 2, "29090a2a"},
    {'\\', 4, "094a"},
    {']', 2, "09292a0a"},
    {'^', 4, "062946"},
    {'_', 5, "0b5b"},
    {'`', 1, "0917"},
    {'a', 5, "(05065650 (53030050"},
    {'b', 5, "0900 (00505606)"},
    {'c', 5, "(545606005052"},
    {'d', 5, "5950 (50560600)"},
    {'e', 5, "0353 (535606005051"},
    {'f', 3, "(391910 0636"},
    {'g', 5, "(50560600) (565c0c0b"},
    {'h', 5, "0900 (04065650"},
    {'i', 0, "0600 0808"},
    {'j', 2, "(262c0c 2828"},
    {'k', 5, "0900 5602 2350"},
    {'l', 0, "0900"},
    {'m', 8, "0006 (04064640 (44468680"},
    {'n', 5, "0006 (04065650"},
    {'o', 5, "(00505606)"},
    {'p', 5, "060c (00505606)"},
    {'q', 5, "565c (50560600)"},
    {'r', 3, "0006 (030636"},
    {'s', 4, "(4546060343400001"},
    {'t', 3, "(181030 0636"},
    {'u', 5, "(06005053 5650"},
    {'v', 4, "062046"},
    {'w', 8, "0620456086"},
    {'x', 4, "0046 0640"},
    {'y', 4, "0620 461c"},
    {'z', 4, "06460040"},
    {'{', 3, "(39191505 (05151a3a"},
    {'|', 0, "0a09"},
    {'}', 3, "(09292535 (35252a0a"},
    {'~', 5, "(030525335355"},
    {U'°', 3, "(06363909)"},
    {U'±', 6, "3832 0565 0060"},
    {U'²', 2, "(0809292805 0525"},
    {U'³', 2, "(09292717 (17272505"},
    {U'µ', 5, "060c (06005053 5650"},
    {U'·', 0, "0404"},
    {U'×', 4, "0145 0541"},
    {U'–', 5, "0454"},
    {U'−', 6, "0464"},
    {U'…', 4, "0000 2020 4040"},
    {U'▸', 4, "02450802"},
});
constexpr Glyph kUnknown{0, 5, "0050590900"};
constexpr double kCap = 9;       // units of the table in a capital's height
constexpr double kGap = 2.7;     // between letters
constexpr double kRound = 2.6;   // radius of rounded corners
constexpr double kStroke = 1.1;  // width of a stroke

/// Letters of Latin-1 without their accents.
char32_t plain_letter(char32_t code) {
  constexpr std::string_view kBase =
      "AAAAAAACEEEEIIIIDNOOOOO OUUUUYTsaaaaaaaceeeeiiiidnooooo ouuuuyty";
  if (code >= 0xC0 && code <= 0xFF && code != 0xD7 && code != 0xF7) {
    return static_cast<char32_t>(kBase[code - 0xC0]);
  }
  if (code == 0x3BC) return U'µ';
  if (code == 0x2014 || code == 0x2010 || code == 0x2011) return U'–';
  if (code == 0xA0 || code == '\t' || code == '\n') return ' ';
  return code;
}

const Glyph& glyph_of(char32_t code) {
  code = plain_letter(code);
  for (const Glyph& glyph : kGlyphs) {
    if (glyph.code == code) return glyph;
  }
  return kUnknown;
}

/// Next code point; bytes that are not UTF-8 come out as U+FFFD.
char32_t next_code(std::string_view& utf8) {
  const auto first = static_cast<uint8_t>(utf8[0]);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (first < 0xC0 || length > utf8.size()) {
    utf8.remove_prefix(1);
    return first < 0x80 ? first : 0xFFFD;
  }
  char32_t code = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    code = (code << 6) | (static_cast<uint8_t>(utf8[i]) & 0x3F);
  }
  utf8.remove_prefix(length);
  return code;
}

struct Piece {
  Point from, to;
};

Point toward(Point a, Point b, double distance) {
  const double length = std::hypot(b.x - a.x, b.y - a.y);
  const double t = length > 0 ? std::min(0.5, distance / length) : 0;
  return {a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)};
}

void add_corner(std::vector<Point>& path, Point before, Point corner, Point after) {
  const Point in = toward(corner, before, kRound);
  const Point out = toward(corner, after, kRound);
  for (int i = 0; i <= 6; ++i) {
    const double t = i / 6.0;
    // Between a quadratic and a circle: the corner pulls a little less than a control point would.
    path.push_back({(1 - t) * (1 - t) * in.x + 2 * t * (1 - t) * corner.x + t * t * out.x,
                    (1 - t) * (1 - t) * in.y + 2 * t * (1 - t) * corner.y + t * t * out.y});
  }
}

std::vector<Point> rounded(const std::vector<Point>& corners, bool closed) {
  std::vector<Point> path;
  const size_t n = corners.size();
  for (size_t i = 0; i < n; ++i) {
    if (!closed && (i == 0 || i + 1 == n)) {
      path.push_back(corners[i]);
    } else {
      add_corner(path, corners[(i + n - 1) % n], corners[i], corners[(i + 1) % n]);
    }
  }
  if (closed) path.push_back(path.front());
  return path;
}

std::vector<Piece> pieces_of(const Glyph& glyph) {
  std::vector<Piece> pieces;
  std::string_view rest = glyph.strokes;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    std::string_view stroke = rest.substr(0, space);
    rest = space == std::string_view::npos ? std::string_view{} : rest.substr(space + 1);
    const bool round = stroke.starts_with('(');
    const bool closed = stroke.ends_with(')');
    if (round) stroke.remove_prefix(1);
    if (closed) stroke.remove_suffix(1);
    std::vector<Point> points;
    for (size_t i = 0; i + 1 < stroke.size(); i += 2) {
      const char y = stroke[i + 1];
      points.push_back({static_cast<double>(stroke[i] - '0'),
                        static_cast<double>(y >= 'a' ? 'a' - 1 - y : y - '0')});
    }
    if (round) points = rounded(points, closed);
    for (size_t i = 0; i + 1 < points.size(); ++i) pieces.push_back({points[i], points[i + 1]});
  }
  return pieces;
}

double distance_to(const Piece& piece, Point p) {
  const double dx = piece.to.x - piece.from.x;
  const double dy = piece.to.y - piece.from.y;
  const double square = dx * dx + dy * dy;
  double t = 0;
  if (square > 0) {
    t = std::clamp(((p.x - piece.from.x) * dx + (p.y - piece.from.y) * dy) / square, 0.0, 1.0);
  }
  return std::hypot(p.x - piece.from.x - t * dx, p.y - piece.from.y - t * dy);
}

/// All pieces as one shape: where they meet, nothing is blended twice.
void stroke_pieces(Image& image, const std::vector<Piece>& pieces, double width, Color color,
                   double opacity) {
  if (pieces.empty()) return;
  double x0 = 1e9, y0 = 1e9, x1 = -1e9, y1 = -1e9;
  for (const Piece& piece : pieces) {
    x0 = std::min({x0, piece.from.x, piece.to.x});
    x1 = std::max({x1, piece.from.x, piece.to.x});
    y0 = std::min({y0, piece.from.y, piece.to.y});
    y1 = std::max({y1, piece.from.y, piece.to.y});
  }
  const double reach = width / 2 + 1;
  const auto left = static_cast<int64_t>(std::max(0.0, std::floor(x0 - reach)));
  const auto top = static_cast<int64_t>(std::max(0.0, std::floor(y0 - reach)));
  const auto right =
      std::min(static_cast<int64_t>(std::ceil(x1 + reach)), static_cast<int64_t>(image.width));
  const auto bottom =
      std::min(static_cast<int64_t>(std::ceil(y1 + reach)), static_cast<int64_t>(image.height));
  for (int64_t y = top; y < bottom; ++y) {
    for (int64_t x = left; x < right; ++x) {
      const Point center{static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5};
      double nearest = 1e9;
      for (const Piece& piece : pieces) nearest = std::min(nearest, distance_to(piece, center));
      const double coverage = std::clamp(width / 2 + 0.5 - nearest, 0.0, 1.0);
      if (coverage > 0) image.blend(x, y, color, coverage * opacity);
    }
  }
}

}  // namespace

void fill_rect(Image& image, double x, double y, double width, double height, Color color) {
  for (auto row = std::lround(y); row < std::lround(y + height); ++row) {
    for (auto column = std::lround(x); column < std::lround(x + width); ++column) {
      image.set(column, row, color);
    }
  }
}

void line(Image& image, Point from, Point to, double width, Color color, double opacity) {
  stroke_pieces(image, {{from, to}}, width, color, opacity);
}

double text_width(std::string_view utf8, double cap_height) {
  double units = 0;
  while (!utf8.empty()) units += glyph_of(next_code(utf8)).width + kGap;
  return std::max(0.0, units - kGap) * cap_height / kCap;
}

void text(Image& image, Point at, std::string_view utf8, double cap_height, Color color,
          Align align, bool upward, bool bold) {
  const double scale = cap_height / kCap;
  double along = 0;
  if (align == Align::kCenter) along = -text_width(utf8, cap_height) / 2;
  if (align == Align::kRight) along = -text_width(utf8, cap_height);
  const double width = std::max(1.15, kStroke * scale) * (bold ? 1.45 : 1);
  while (!utf8.empty()) {
    const Glyph& glyph = glyph_of(next_code(utf8));
    std::vector<Piece> pieces = pieces_of(glyph);
    const auto place = [&](Point p) {
      const double right = along + p.x * scale;
      const double up = p.y * scale;
      return upward ? Point{at.x - up, at.y - right} : Point{at.x + right, at.y - up};
    };
    for (Piece& piece : pieces) piece = {place(piece.from), place(piece.to)};
    stroke_pieces(image, pieces, width, color, 1);
    along += (glyph.width + kGap) * scale;
  }
}

std::string fit_text(std::string_view utf8, double cap_height, double width) {
  if (text_width(utf8, cap_height) <= width) return std::string(utf8);
  std::string out;
  std::string_view rest = utf8;
  while (!rest.empty()) {
    const std::string_view before = rest;
    next_code(rest);
    const std::string_view letter = before.substr(0, before.size() - rest.size());
    if (text_width(out + std::string(letter) + "…", cap_height) > width) break;
    out += letter;
  }
  return out + "…";
}

}  // namespace upwell::serve::draw
