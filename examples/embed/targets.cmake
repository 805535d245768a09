# Included by examples/CMakeLists.txt. The network, for many processors in one library; the program knows nothing of it.
volute_add_model(classifier HANDLE embed/classifier.hpp SOURCES embed/classifier.cpp LINK_LIBRARIES volute::io)
add_executable(embed embed/main.cpp)
target_link_libraries(embed PRIVATE classifier)
target_compile_features(embed PRIVATE cxx_std_20)
target_include_directories(embed PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
