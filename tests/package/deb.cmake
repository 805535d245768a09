# cmake -DCPACK=... -DDPKG_DEB=... -DBUILD=... -DROOT=... -DVERSION=... -P deb.cmake: makes the Debian package and unpacks it into an empty ROOT.
file(REMOVE_RECURSE ${ROOT} ${ROOT}.deb)
execute_process(COMMAND ${CPACK} -G DEB --config ${BUILD}/CPackConfig.cmake -B ${ROOT}.deb COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${DPKG_DEB} -x ${ROOT}.deb/libvolute-dev_${VERSION}_all.deb ${ROOT} COMMAND_ERROR_IS_FATAL ANY)
foreach(file include/volute/volute.hpp share/pkgconfig/volute.pc share/cmake/volute/variants/variants.sh)
  if(NOT EXISTS ${ROOT}/usr/${file})
    message(FATAL_ERROR "the package has no /usr/${file}")
  endif()
endforeach()
