#include "access/netrc.hpp"

#include <gtest/gtest.h>

namespace upwell::access {
namespace {

constexpr const char* kHost = "urs.earthdata.nasa.gov";

NetrcEntry entry_of(std::string_view text, std::string_view machine = kHost) {
  const auto entries = parse_netrc(text);
  EXPECT_TRUE(entries) << entries.error().to_string();
  if (!entries) return {};
  return find_netrc(*entries, machine).value_or(NetrcEntry{});
}

TEST(Netrc, FindsTheMachineInAnyLayout) {
  for (const char* text : {
           "machine urs.earthdata.nasa.gov login me password word",
           "machine urs.earthdata.nasa.gov\n\tlogin me\n\tpassword word\n",
           "machine a login b password c\r\nmachine urs.earthdata.nasa.gov\r\nlogin me password "
           "word\r\n",
           "machine urs.earthdata.nasa.gov password word account x login me",
           "default login no password no machine URS.EarthData.NASA.gov login me password word",
           "# machine urs.earthdata.nasa.gov login no password no\nmachine urs.earthdata.nasa.gov "
           "login me "
           "password word # mine",
           "machine \"urs.earthdata.nasa.gov\" login \"me\" password \"word\"",
           "machine a login x password y macdef init\ncd /machine\nmachine no\n\nmachine "
           "urs.earthdata.nasa.gov login me password word",
           "machine urs.earthdata.nasa.gov login me password word\nmachine urs.earthdata.nasa.gov "
           "login "
           "other password other",
           "default login no password no\nmachine urs.earthdata.nasa.gov user me password word",
       }) {
    const NetrcEntry entry = entry_of(text);
    EXPECT_EQ(entry.login, "me") << text;
    EXPECT_EQ(entry.password, "word") << text;
  }
}

TEST(Netrc, TakesPasswordsAsTheyAre) {
  EXPECT_EQ(entry_of("machine h login me password #1", "h").password, "#1");
  EXPECT_EQ(entry_of("machine h login me password \"a b\\\"c\\\\d\"", "h").password, "a b\"c\\d");
  EXPECT_EQ(entry_of("machine h login me password machine", "h").password, "machine");
  EXPECT_EQ(entry_of("machine h login me password p\xc3\xa4ss", "h").password, "p\xc3\xa4ss");
  EXPECT_EQ(entry_of("machine h login me password \"\"", "h").password, "");
}

TEST(Netrc, DefaultStandsForTheOthers) {
  const std::string text = "machine a login b password c default login me password word";
  EXPECT_EQ(entry_of(text).login, "me");
  EXPECT_EQ(entry_of(text).machine, "");
  EXPECT_EQ(entry_of(text, "a").login, "b");
  EXPECT_FALSE(find_netrc(*parse_netrc("machine a login b password c"), kHost));
  EXPECT_FALSE(find_netrc(*parse_netrc(""), kHost));
}

TEST(Netrc, ErrorsTellTheLineAndNoSecret) {
  struct Row {
    const char* text;
    const char* what;
  };
  for (const Row& row :
       {Row{"machine h\nlogin me\npassword", "line 3: nothing follows \"password\""},
        Row{"login me", "line 1: \"login\" before the first machine"},
        Row{"machine h\n\nsecret1 me", "line 3: neither machine"},
        Row{"machine h password \"secret1", "line 1: a quoted word"},
        Row{"machine", "nothing follows"}}) {
    const auto entries = parse_netrc(row.text);
    ASSERT_FALSE(entries) << row.text;
    EXPECT_EQ(entries.error().code, Code::kBadConfiguration);
    EXPECT_NE(entries.error().message.find(row.what), std::string::npos) << entries.error().message;
    EXPECT_EQ(entries.error().message.find("secret1"), std::string::npos);
  }
}

TEST(Netrc, ChangesOneEntryAndKeepsTheRest) {
  const std::string others =
      "# mine\nmachine a login b password c # see\n\tmacdef init\n\tcd x\n\n";
  const std::string rest = " account q\ndefault login x password y\n";
  const auto changed = with_netrc_entry(
      others + "machine urs.earthdata.nasa.gov password \"old word\" login me" + rest, kHost, "you",
      "new \"word\"");
  ASSERT_TRUE(changed);
  EXPECT_EQ(
      *changed,
      others + "machine urs.earthdata.nasa.gov password \"new \\\"word\\\"\" login you" + rest);
  EXPECT_EQ(entry_of(*changed).password, "new \"word\"");

  const auto added = with_netrc_entry(others + "default login x password y", kHost, "me", "word");
  ASSERT_TRUE(added);
  EXPECT_TRUE(added->ends_with(others + "default login x password y"));
  EXPECT_EQ(entry_of(*added).login, "me");
  EXPECT_EQ(entry_of(*added, "zzz").login, "x");

  const auto completed = with_netrc_entry("machine urs.earthdata.nasa.gov\n", kHost, "me", "word");
  EXPECT_EQ(completed.value_or(""), "machine urs.earthdata.nasa.gov password word login me\n");
  const auto close =
      with_netrc_entry("machine \"h\"login \"a\"password \"b\"default", "h", "me", "word");
  EXPECT_EQ(close.value_or(""), "machine \"h\"login me password word default");
  const auto capitals =
      with_netrc_entry("machine URS.Earthdata.nasa.gov login a password b", kHost, "me", "word");
  EXPECT_EQ(capitals.value_or(""), "machine URS.Earthdata.nasa.gov login me password word");
  EXPECT_FALSE(with_netrc_entry("what is this", kHost, "me", "word"));
}

}  // namespace
}  // namespace upwell::access
