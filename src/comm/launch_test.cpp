#include "comm/launch.hpp"

#include <gmock/gmock.h>

#include <map>

#include "base/error.hpp"

namespace moellava {
namespace {

Launch launched(const std::map<std::string, std::string>& variables) {
  return detect_launch([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, NobodyMeansOneProcess) {
  EXPECT_EQ(launched({}).by, Launcher::None);
  EXPECT_EQ(launched({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).by, Launcher::None);
  // A batch script of SLURM: the tasks are there, but srun has not started them.
  EXPECT_EQ(launched({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).by, Launcher::None);
}

TEST(Launch, EveryLauncherIsUnderstood) {
  const Launch mpi = launched({{"OMPI_COMM_WORLD_RANK", "3"},
                               {"OMPI_COMM_WORLD_SIZE", "4"},
                               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(mpi.by, Launcher::Mpi);
  EXPECT_EQ(mpi.rank, 3);
  EXPECT_EQ(mpi.size, 4);
  EXPECT_EQ(mpi.local_rank, 1);
  EXPECT_EQ(mpi.local_size, 2);
  const Launch slurm =
      launched({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "1"}});
  EXPECT_EQ(slurm.by, Launcher::Slurm);
  EXPECT_EQ(slurm.rank, 5);
  EXPECT_EQ(slurm.local_rank, 1);
  const Launch torchrun =
      launched({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}});
  EXPECT_EQ(torchrun.by, Launcher::Torchrun);
  EXPECT_EQ(torchrun.size, 2);
}

// mpirun inside a SLURM job: mpirun started the processes.
TEST(Launch, TheInnermostLauncherCounts) {
  const Launch both = launched({{"OMPI_COMM_WORLD_RANK", "1"},
                                {"OMPI_COMM_WORLD_SIZE", "2"},
                                {"SLURM_PROCID", "0"},
                                {"SLURM_STEP_NUM_TASKS", "4"}});
  EXPECT_EQ(both.by, Launcher::Mpi);
  EXPECT_EQ(both.size, 2);
}

TEST(Launch, VariablesThatMakeNoSenseAreNamed) {
  for (const char* rank : {"2", "-1", "x", "", "99999999999"}) {
    try {
      launched({{"RANK", rank}, {"WORLD_SIZE", "2"}});
      FAIL() << rank;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("RANK"));
    }
  }
}

}  // namespace
}  // namespace moellava
