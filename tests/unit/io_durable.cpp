// What is saved is on the disk before it takes the old file's name, and so is the name: every fsync of this program passes through here.
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include "io_support.hpp"

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/syscall.h>

namespace {
struct synced {
  bool folder = false;
  std::string contents;  // of the temporary file then
  std::string old;       // what the file's own name still led to
};
std::vector<synced> seen;
std::string path;
bool fails = false;
}  // namespace

extern "C" int fsync(int fd) {
  struct stat s {};
  ::fstat(fd, &s);
  synced now{S_ISDIR(s.st_mode), {}, {}};
  if (!now.folder && std::filesystem::exists(path + ".tmp")) now.contents = contents(path + ".tmp");
  if (std::filesystem::exists(path)) now.old = contents(path);
  seen.push_back(now);
  if (fails) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

TEST_CASE("a file is on the disk before it has its name, and then the name is", "[io]") {
  using namespace volute;
  const scratch_folder folder;
  path = folder / "weights.safetensors";
  model<nn::linear<4, 3>, input<"x", 2, 4>> m;
  m.initialize(1);
  save(m, path);
  const std::string first = contents(path);
  REQUIRE(seen.size() == 2);
  CHECK((!seen[0].folder && seen[0].contents == first && seen[0].old.empty()));
  CHECK((seen[1].folder && seen[1].old == first));

  seen.clear();
  m.initialize(2);
  save(m, path);
  const std::string second = contents(path);
  CHECK(second != first);
  REQUIRE(seen.size() == 2);
  CHECK((!seen[0].folder && seen[0].contents == second && seen[0].old == first));
  CHECK((seen[1].folder && seen[1].old == second));

  fails = true;  // the disk did not take it: the old file stays, and nothing else
  m.initialize(3);
  CHECK_THROWS_AS(save(m, path), file_error);
  fails = false;
  CHECK(contents(path) == second);
  CHECK(folder.files() == 1);
}

TEST_CASE("what is no file keeps its name", "[io]") {  // /dev/null, /dev/stdout
  using namespace volute;
  const scratch_folder folder;
  const std::string pipe = folder / "pipe", link = folder / "link";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::filesystem::create_symlink(pipe, link);
  const model<nn::linear<4, 3>, input<"x", 2, 4>> m;
  for (const std::string& name : {pipe, link}) {
    CHECK(message<file_error>([&] { save(m, name); }) == name + ": not a regular file");
    CHECK(std::filesystem::is_fifo(name));
    CHECK_FALSE(std::filesystem::exists(name + ".tmp"));
  }
  CHECK(std::filesystem::is_symlink(link));
}
